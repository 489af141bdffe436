// How each converges: the quantity that is chosen over what is chosen, and what else was recorded.
const LINES = ["xs", "ys", "what", "group", "colour", "dash", "width", "alpha"];
const MANY = 100; // times the largest first value: what is beyond has left
const EXPLODE = ["loss", "batch loss", "excess", "distance", "gradient norm", "validation"];
const evaluations = quantityOf("evaluations"), seconds = quantityOf("seconds"), rate = quantityOf("schedule");
const choosable = data.quantities.filter((one) => one !== evaluations && one !== seconds);
const panels = data.panels.map(({plot, quantity}) => ({name: plot, quantity: data.quantities[quantity]}));

const quantity = choice("y", () => { suitScale(); drawCurves(); }), horizontal = choice("x", drawCurves);
const isLogX = choice("x-log", drawCurves), isLogY = choice("y-log", drawCurves);

// Another quantity is first shown on the scale that suits it.
function suitScale() {
  const values = chosenQuantity().values.subarray(0, 100_000);
  isLogY.checked = isWide([...values]);
  state.choices["y-log"] = isLogY.checked;
}

function chosenQuantity() {
  return choosable.find((one) => one.name === quantity.value) ?? choosable[0];
}

// The horizontal values of a cell's steps; none where it has not recorded them.
function along(cell, steps) {
  const known = {"gradient evaluations": evaluations, seconds, "learning rate": rate}[horizontal.value];
  if (known) {
    const own = curve(known, cell);
    if (own) return Array.from(steps, (step) => between(own.steps, own.values, step));
    return known === evaluations ? Array.from(steps) : [];
  }
  const epoch = horizontal.value === "epoch" ? cells.steps[cell] : 1;
  return Array.from(steps, (step) => step / epoch);
}

function positive(values, isLog) {
  return Array.from(values, (value) => (Number.isFinite(value) && (value > 0 || !isLog) ? value : NaN));
}

function lineOf(one, cell, isLog) {
  const own = curve(one, cell);
  if (!own) return null;
  const xs = along(cell, own.steps);
  if (!xs.length) return null;
  return {xs: positive(xs, isLogX.checked), ys: positive(own.values, isLog), what: cells.label[cell]};
}

// The same over those of its cells that a filter leaves, from the points that the page has.
function bandOver(one, some, steps) {
  const found = Array.from(steps, (step) => spread(some.map((cell) => {
    const own = curve(one, cell);
    if (step < own.steps[0]) return NaN;
    if (step > own.steps.at(-1) && cells.outcome[cell] === "diverged") return Infinity;
    return between(own.steps, own.values, step);
  })));
  const column = (key) => found.map((each) => each?.[key] ?? NaN);
  return {steps, low: column("low"), middle: column("middle"), high: column("high")};
}

// The median and the quartiles of a setting, where it has several cells.
function bandOf(one, setting, isLog) {
  const whole = one.bands.find((other) => other.setting === setting);
  const own = cellsOfSetting(setting).filter((other) => one.place.has(other));
  if (!whole || own.length < 2) return null;
  const band = isWhole(setting) ? whole : bandOver(one, own, whole.steps);
  const [cell] = own;
  const xs = positive(along(cell, band.steps), isLogX.checked);
  if (!xs.length) return null;
  const at = xs.map((_, place) => place).filter((place) =>
    !Number.isNaN(xs[place]) && !Number.isNaN(band.low[place]) && (!isLog || band.low[place] > 0));
  const top = extent(band.middle)[1] * 1e3;
  const high = (place) => Math.min(band.high[place], top);
  return {
    line: {xs, ys: positive(band.middle, isLog), what: `${data.settings[setting].label}, median`},
    patch: {
      xs: [...at, ...at.toReversed()].map((place) => xs[place]),
      ys: [...at.map((place) => band.low[place]), ...at.toReversed().map(high)],
    },
  };
}

function groupOf(setting) { return data.groups[data.settings[setting].group]; }

// Fill a plot; `isLog` is whether the quantity's own axis is logarithmic.
function drawPanel(panel, one, isLog) {
  const plot = plots.get(panel.name);
  const rows = [], bands = [];
  panel.cells = [];
  const settings = data.drawn.filter(isThere);
  for (const setting of settings) {
    const {colour, dash, label} = groupOf(setting);
    const own = cellsOfSetting(setting);
    const band = bandOf(one, setting, isLog);
    const line = band ? band.line : lineOf(one, own[0], isLog);
    if (!line) continue;
    const alpha = settings.length > 12 ? 0.6 : 0.9;
    const faded = state.kept.length ? alpha / 3 : alpha;
    rows.push({...line, group: label, colour: inked(colour), dash, width: band ? 2.5 : 2, alpha: faded});
    panel.cells.push(own);
    if (band) bands.push({...band.patch, colour: inked(colour)});
  }
  panel.isLog = isLog;
  panel.one = one;
  frame(plot, panel, rows);
  fill(`${panel.name} bands`, bands, ["xs", "ys", "colour"]);
  fill(`${panel.name} lines`, rows, LINES);
  fill(`${panel.name} points`, rows.flatMap(lonePoint), ["x", "y", "colour"]);
  markPanel(panel);
}

// Of a curve with no more than one point, that: a line would not be seen.
function lonePoint({xs, ys, colour}) {
  const there = xs.map((_, at) => at).filter((at) => !Number.isNaN(xs[at]) && !Number.isNaN(ys[at]));
  return there.length === 1 ? [{x: xs[there[0]], y: ys[there[0]], colour}] : [];
}

// What is looked at: all that is drawn, but not where a run has left.
function frame(plot, panel, rows) {
  const kept = state.kept.map((cell) => lineOf(panel.one, cell, panel.isLog)).filter(Boolean);
  const all = [...rows, ...kept];
  scaled(plot, "x", isLogX.checked);
  scaled(plot, "y", panel.isLog);
  ranged(plot, "x", ...extent(all.flatMap((one) => one.xs)), isLogX.checked);
  let [low, high] = extent(all.flatMap((one) => one.ys));
  const firsts = all.map((one) => one.ys.find((value) => !Number.isNaN(value))).filter((value) => value > 0);
  if (!EXPLODE.includes(panel.one.role)) [low, high] = within(panel, low, high);
  else if (firsts.length) high = Math.max(low, Math.min(high, MANY * Math.max(...firsts)));
  ranged(plot, "y", low, high, panel.isLog);
  titled(plot, "x", horizontal.value);
}

// Of what else was recorded: the range of the runs that did not diverge, if there are any.
function within(panel, low, high) {
  const own = panel.cells.flat().filter((cell) => cells.outcome[cell] !== "diverged");
  const there = own.map((cell) => curve(panel.one, cell)).filter(Boolean);
  const values = there.flatMap((one) => [...one.values]).filter((value) => value > 0 || !panel.isLog);
  return values.length ? extent(values) : [low, high];
}

function markPanel(panel) {
  const rows = marked().flatMap((cell) => {
    const line = lineOf(panel.one, cell, panel.isLog);
    return line ? [{...line, group: "", ...look(cell)}] : [];
  });
  fill(`${panel.name} marks`, rows, LINES);
}

function drawCurves() {
  if (!plots.has("converge")) return;
  const one = chosenQuantity();
  const there = new Set(data.drawn.filter(isThere).map((setting) => data.settings[setting].group));
  const entries = data.groups.filter((_, at) => there.has(at)).map(({label, colour, dash}) =>
    ({xs: [NaN], ys: [NaN], group: label, colour: inked(colour), dash}));
  fill("converge legend", entries, ["xs", "ys", "group", "colour", "dash"]);
  drawPanel(main, one, isLogY.checked && one.values.some((value) => value > 0));
  titled(plots.get("converge"), "y", one.name);
  for (const panel of panels) {
    const {values} = panel.quantity;
    drawPanel(panel, panel.quantity, panel.quantity.role === "validation" && isWide([...values.slice(0, 50_000)]));
  }
}

const main = {name: "converge", cells: []};
for (const what of ["kept", "filter", "look"]) listen(what, drawCurves);
listen("pointed", () => {
  if (plots.has("converge")) [main, ...panels].filter((panel) => panel.one).forEach(markPanel);
});
