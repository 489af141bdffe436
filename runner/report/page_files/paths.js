// What runs did in parameter space: a dozen paths at most, step by step.
const PATHS = ["xs", "ys", "what", "colour", "dash", "width", "alpha"];
const SECONDS = 8, LAST = 1000;
const slider = document.getElementById("step"), play = document.getElementById("play");
let tracks = [], playing = null;

// Some from the best to the worst of those that are there.
function sample() {
  if (data.paths.first.every((cell) => visible[cell])) return data.paths.first;
  const there = data.table.order.filter((cell) => visible[cell] && hasPath(cell));
  const most = Math.min(MOST_MARKED, there.length);
  return Array.from({length: most}, (_, at) => there[Math.round(at * (there.length - 1) / Math.max(1, most - 1))]);
}

function hasPath(cell) { return data.paths.place.has(cell); }

function track(cell) {
  const place = data.paths.place.get(cell);
  return {
    cell,
    steps: data.paths.steps.subarray(...place),
    xs: Array.from(data.paths.x.subarray(...place)),
    ys: Array.from(data.paths.y.subarray(...place)),
  };
}

// Most happens at the beginning: the slider's places are even on a logarithmic scale of steps.
function stepAt(place, last) { return Math.round((last + 1) ** (place / LAST) - 1); }

function upTo({steps, xs, ys}, step) {
  let end = 0;
  while (end < steps.length && steps[end] <= step) end += 1;
  if (end === steps.length) return {xs, ys};
  return {
    xs: [...xs.slice(0, end), between(steps, xs, step)],
    ys: [...ys.slice(0, end), between(steps, ys, step)],
  };
}

// The kept cells alone, or else a sample; and over them what is marked.
function drawPaths() {
  if (!plots.has("paths")) return;
  tracks = (state.kept.some(hasPath) ? state.kept.filter(hasPath) : sample()).map(track);
  move();
}

function lastStep() {
  return Math.max(0, ...tracks.map(({steps}) => steps.at(-1)));
}

function pathRow(one, step, how) {
  const way = slider.valueAsNumber === LAST ? one : upTo(one, step);
  return {xs: way.xs, ys: way.ys, what: cells.label[one.cell], ...how};
}

function move() {
  const last = lastStep(), step = stepAt(slider.valueAsNumber, last);
  document.getElementById("at").textContent = `step ${step} of ${last}`;
  slider.setAttribute("aria-valuetext", `step ${step}`);
  const rows = tracks.map((one) => {
    const {colour, dash} = groupOf(cells.setting[one.cell]);
    return pathRow(one, step, {colour: inked(colour), dash, width: 1.5, alpha: state.kept.length ? 0.3 : 0.9});
  });
  fill("paths tracks", rows, PATHS);
  markPaths();
}

function markPaths() {
  if (!plots.has("paths")) return;
  const step = stepAt(slider.valueAsNumber, lastStep());
  const rows = marked().filter(hasPath).map((cell) => pathRow(track(cell), step, look(cell)));
  fill("paths marks", rows, PATHS);
  const all = [...(state.kept.length ? [] : tracks.map((one) => {
    const {colour} = groupOf(cells.setting[one.cell]);
    return pathRow(one, step, {colour: inked(colour)});
  })), ...rows];
  const ends = (from) => all.map((one) => ({x: one.xs.at(from), y: one.ys.at(from), colour: one.colour}));
  fill("paths heads", ends(-1), ["x", "y", "colour"]);
  fill("paths starts", ends(0), ["x", "y", "colour"]);
}

function stop() {
  cancelAnimationFrame(playing);
  playing = null;
  play.textContent = "▶ play";
}

function start() {
  const from = slider.valueAsNumber === LAST ? 0 : slider.valueAsNumber;
  let began = null;
  play.textContent = "❚❚ pause";
  const tick = (now) => {
    began ??= now;
    slider.value = Math.min(LAST, from + (now - began) / (1000 * SECONDS) * LAST);
    move();
    if (slider.valueAsNumber < LAST) playing = requestAnimationFrame(tick);
    else stop();
  };
  playing = requestAnimationFrame(tick);
}

play?.addEventListener("click", () => (playing === null ? start() : stop()));
slider?.addEventListener("input", () => { if (playing !== null) stop(); move(); });
for (const what of ["kept", "filter", "look"]) listen(what, drawPaths);
listen("pointed", markPaths);
