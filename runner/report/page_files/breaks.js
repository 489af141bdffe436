// Where it breaks: a value over one number that was swept, or over two of them.
const {swept} = data;
const CELLS = ["x", "y", "what", "value", "cell", "colour", "marker", "size"];
const BOXES = ["left", "right", "bottom", "top", "colour", "hatch", "what", "value", "cells"];
const value = choice("value", drawBreaks), facet = choice("facet", drawBreaks);
const across = choice("across", drawBreaks), upward = choice("upward", drawBreaks);
const ACROSS = 1.3; // decades from which on what was swept is on a logarithmic axis
let boxesDrawn = [], cellsDrawn = [];

function isRate(key) { return key.split(".").at(-1) === "lr"; }

function distinctNumbers(key) {
  return [...new Set(swept[key].numbers)].sort((a, b) => a - b);
}

// What a value is over all cells at one place: the median, what diverged being infinite.
function valueOf(some) {
  return spread(some.map((cell) => cells[value.value][cell]));
}

function saidOf(some) {
  const found = spread(some.map((cell) => cells["final loss"][cell]));
  const ended = found?.diverged ? `, ${found.diverged} of ${some.length} diverged` : "";
  if (value.value === "outcome") return `${commonOutcome(some)}${ended}`;
  const own = valueOf(some);
  const median = some.length > 1 ? "median " : "";
  return own ? `${median}${shown(own.middle)}${ended}` : `none${ended}`;
}

// Whether an edge is so near to what was swept that it belongs into the picture.
function near(low, high) {
  return (edge) => edge > low / 4 && edge < high * 4;
}

// Of losses, what is beyond has left, and does not stretch the scale.
function capped(low, high) {
  if (!(data.start > 0) || !value.value.endsWith("loss")) return high;
  return Math.max(low, Math.min(high, MANY * data.start));
}

function commonOutcome(some) {
  const counted = new Map();
  for (const cell of some) counted.set(cells.outcome[cell], (counted.get(cells.outcome[cell]) ?? 0) + 1);
  return [...counted].sort((a, b) => b[1] - a[1])[0][0];
}

function drawBreaks() {
  if (plots.has("sensitivity")) drawSensitivity();
  if (plots.has("heat")) drawHeat();
}

function visibleSettings() { return data.settings.map((_, at) => at).filter(isThere); }

// --- one number ---

// A curve for each choice of what else was swept; of many, one for each of the page's groups.
function curvesOver(there) {
  const names = [...new Set(cells.label.map((_, cell) => restOf(cell)))];
  if (names.length > data.colours.length) {
    return data.groups.map((group, at) =>
      ({...group, cells: there.filter((cell) => data.settings[cells.setting[cell]].group === at)}));
  }
  return names.map((label, at) => {
    const {dash, marker} = data.looks[at];
    return {label: label || "all cells", colour: data.colours[at], dash, marker, cells: there.filter((cell) => restOf(cell) === label)};
  });
}

function drawSensitivity() {
  const plot = plots.get("sensitivity"), key = across.value;
  const there = visibleSettings().flatMap(cellsOfSetting);
  const values = there.map((cell) => cells[value.value][cell]);
  const finite = values.filter(Number.isFinite);
  const numbers = there.map((cell) => swept[key].numbers[cell]);
  const isLogX = isWide(numbers, ACROSS), isLogY = isWide(finite);
  const shownValues = finite.filter((one) => one > 0 || !isLogY);
  scaled(plot, "x", isLogX);
  scaled(plot, "y", isLogY);
  const edgesNear = isRate(key) ? there.map((cell) => cells.edge[cell]).filter(near(...extent(numbers))) : [];
  ranged(plot, "x", ...extent([...numbers, ...edgesNear].filter((one) => one > 0 || !isLogX)), isLogX);
  let [low, high] = shownValues.length ? extent(shownValues) : [isLogY ? 0.1 : 0, 1];
  if (isLogY) high = capped(low, high);
  const [bottom, above] = ranged(plot, "y", low, high, isLogY);
  const top = isLogY ? Math.sqrt(high * above) : (high + above) / 2;
  cellsDrawn = [];
  const rows = [], medians = [], bands = [], edges = [];
  for (const group of curvesOver(there)) {
    const {cells: own} = group;
    const colour = inked(group.colour);
    for (const cell of own) {
      const is = cells[value.value][cell], x = swept[key].numbers[cell];
      if (Number.isNaN(is)) continue;
      cellsDrawn.push(cell);
      rows.push({
        x, y: Math.min(is, top), what: cells.label[cell], value: saidOf([cell]), cell, colour,
        marker: is === Infinity ? "x" : group.marker, size: is === Infinity ? 13 : 7,
      });
    }
    if (data.samples) { // no two are alike in all else: nothing lies between them
      medians.push({xs: [], ys: [], group: group.label, colour, dash: group.dash});
      continue;
    }
    const xs = [...new Set(own.map((cell) => swept[key].numbers[cell]))].sort((a, b) => a - b);
    const found = xs.map((x) => valueOf(own.filter((cell) => swept[key].numbers[cell] === x)));
    const places = xs.map((_, place) => place).filter((place) => found[place]);
    if (!places.length) continue;
    const y = (one) => (one > 0 || !isLogY ? Math.min(one, top) : NaN);
    medians.push({
      xs: places.map((place) => xs[place]),
      ys: places.map((place) => (found[place].middle === Infinity ? NaN : y(found[place].middle))),
      group: group.label, colour, dash: group.dash,
    });
    if (found.some((one) => one?.count > 1)) {
      bands.push({
        xs: [...places, ...places.toReversed()].map((place) => xs[place]),
        ys: [...places.map((place) => y(found[place].low)),
          ...places.toReversed().map((place) => y(found[place].high))],
        colour,
      });
    }
    const edge = spread(own.map((cell) => cells.edge[cell]));
    if (edge && isRate(key)) edges.push({x: edge.middle, low: bottom, high: above, colour});
  }
  fill("sensitivity cells", rows, CELLS);
  fill("sensitivity lines", medians, ["xs", "ys", "group", "colour", "dash"]);
  fill("sensitivity bands", bands, ["xs", "ys", "colour"]);
  fill("sensitivity edges", edges, ["x", "low", "high", "colour"]);
  titled(plot, "x", key);
  titled(plot, "y", value.value);
  markBreaks();
}

// --- two numbers ---

// What a cell has beside the numbers that a plot is over, and its seeds.
function restOf(cell) {
  const others = Object.keys(swept).filter((key) => !swept[key].seed
    && key !== across.value && key !== upward?.value && !data.samples?.includes(key));
  return others.map((key) => (key === "optimizer" ? swept[key].text[cell] : `${key}=${swept[key].text[cell]}`)).join(" ");
}

// The ends of a box around each number: halfway to the next ones.
function ends(numbers, isLog) {
  const [to, from] = isLog ? [Math.log, Math.exp] : [Number, Number];
  const at = numbers.map(to);
  const width = at.length > 1 ? at[1] - at[0] : isLog ? 1 : Math.abs(at[0]) || 1;
  return at.map((own, place) => [
    from(place ? (at[place - 1] + own) / 2 : own - width / 2),
    from(place < at.length - 1 ? (own + at[place + 1]) / 2 : own + (own - (at[place - 1] ?? own - width)) / 2),
  ]);
}

function drawHeat() {
  const plot = plots.get("heat"), x = across.value;
  if (upward.value === x) {
    const other = [...upward.options].find((option) => option.value !== x);
    upward.value = other.value;
  }
  const y = upward.value;
  const order = [...new Set(data.table.order.map(restOf))];
  options(facet, order, facet.value);
  facet.parentElement.hidden = order.length < 2;
  if (!order.includes(facet.value)) facet.selectedIndex = 0;
  const there = visibleSettings().flatMap(cellsOfSetting)
    .filter((cell) => restOf(cell) === facet.value);
  const xs = distinctNumbers(x), ys = distinctNumbers(y);
  const isLogX = isWide(xs, ACROSS), isLogY = isWide(ys, ACROSS);
  const lefts = ends(xs, isLogX), bottoms = ends(ys, isLogY);
  const found = new Map();
  for (const cell of there) {
    const key = `${swept[x].numbers[cell]} ${swept[y].numbers[cell]}`;
    found.set(key, [...(found.get(key) ?? []), cell]);
  }
  boxesDrawn = [];
  const rows = [];
  xs.forEach((xValue, i) => ys.forEach((yValue, j) => {
    const some = found.get(`${xValue} ${yValue}`);
    if (!some) return;
    const own = spread(some.map((cell) => cells["final loss"][cell]));
    boxesDrawn.push(some);
    rows.push({
      left: lefts[i][0], right: lefts[i][1], bottom: bottoms[j][0], top: bottoms[j][1],
      is: value.value === "outcome" ? commonOutcome(some) : valueOf(some)?.middle ?? NaN,
      hatch: own && own.diverged * 2 >= own.count ? "diagonal_cross" : "blank",
      what: some.length > 1 ? data.settings[cells.setting[some[0]]].label : cells.label[some[0]],
      value: saidOf(some), cells: some,
    });
  }));
  colourBoxes(plot, rows);
  scaled(plot, "x", isLogX);
  scaled(plot, "y", isLogY);
  plot.x_range.setv({start: lefts[0][0], end: lefts.at(-1)[1], reset_start: lefts[0][0], reset_end: lefts.at(-1)[1]});
  plot.y_range.setv({start: bottoms[0][0], end: bottoms.at(-1)[1], reset_start: bottoms[0][0], reset_end: bottoms.at(-1)[1]});
  fill("heat boxes", rows, BOXES);
  fill("heat edges", heatEdges(there, x, y), ["xs", "ys"]);
  titled(plot, "x", x);
  titled(plot, "y", y);
  markBreaks();
}

// Where, for each value of the other number, the learning rate reaches the edge.
function heatEdges(there, x, y) {
  const rate = [x, y].find(isRate);
  if (!rate) return [];
  const other = rate === x ? y : x;
  const points = distinctNumbers(other).flatMap((at) => {
    const edge = spread(there.filter((cell) => swept[other].numbers[cell] === at).map((cell) => cells.edge[cell]));
    return edge ? [[at, edge.middle]] : [];
  });
  if (!points.length) return [];
  const [along, edges] = [0, 1].map((k) => points.map((one) => one[k]));
  return [rate === x ? {xs: edges, ys: along} : {xs: along, ys: edges}];
}

function colourBoxes(plot, rows) {
  const numbers = rows.map((one) => one.is).filter(Number.isFinite);
  const isLog = isWide(numbers);
  let [low, high] = extent(isLog ? numbers.filter((one) => one > 0) : numbers);
  high = capped(low, high);
  const to = isLog ? (one) => Math.log(Math.max(one, low)) : Number;
  for (const one of rows) {
    const share = (to(one.is) - to(low)) / (to(high) - to(low) || 1);
    if (value.value === "outcome") one.colour = data.outcomeColours[one.is] ?? "#555555";
    else if (!Number.isFinite(one.is)) one.colour = isDark() ? "#333333" : "#f2f2f2";
    else one.colour = data.palette[Math.min(255, Math.max(0, Math.floor(share * 256)))];
  }
  for (const bar of plot.right) {
    const isOwn = bar.name === `heat ${isLog ? "log" : "linear"}`;
    bar.visible = isOwn && numbers.length > 0;
    if (isOwn && numbers.length) bar.color_mapper.setv({low, high: high > low ? high : low + (Math.abs(low) || 1)});
  }
  const legend = document.getElementById("outcome-legend");
  if (legend) legend.hidden = value.value !== "outcome";
}

// Rings around the points of a plot that are marked; `drawn` are the cells of its points.
function markPoints(name, drawn) {
  const some = new Set(marked()), {x, y} = source(`${name} cells`).data;
  fill(`${name} marks`, drawn.flatMap((cell, at) =>
    (some.has(cell) ? [{x: x[at], y: y[at], colour: look(cell).colour}] : [])), ["x", "y", "colour"]);
}

function markBreaks() {
  const some = new Set(marked());
  if (plots.has("sensitivity")) markPoints("sensitivity", cellsDrawn);
  if (plots.has("heat")) {
    const {left, right, bottom, top} = source("heat boxes").data;
    const rows = boxesDrawn.flatMap((own, at) => {
      const cell = own.find((one) => some.has(one));
      if (cell === undefined) return [];
      return [{left: left[at], right: right[at], bottom: bottom[at], top: top[at], colour: look(cell).colour}];
    });
    fill("heat marks", rows, ["left", "right", "bottom", "top", "colour"]);
  }
}
for (const what of ["filter", "look"]) listen(what, drawBreaks);
for (const what of ["pointed", "kept"]) listen(what, markBreaks);
