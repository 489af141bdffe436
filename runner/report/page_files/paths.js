// What runs did in parameter space: a dozen paths at most, step by step.
const PATHS = ["xs", "ys", "what", "colour", "dash", "width", "alpha", "cell"];
const SECONDS = 8, LAST = 1000;
const slider = document.getElementById("step"), play = document.getElementById("play");
let tracks = [], playing = null;

// Some from the best to the worst of those that are there.
function sample() {
  if (data.paths.first.every((cell) => visible[cell])) return data.paths.first;
  const there = data.table.order.filter((cell) => visible[cell] && data.paths.place.has(cell));
  const most = Math.min(MOST_MARKED, there.length);
  return Array.from({length: most}, (_, at) => there[Math.round(at * (there.length - 1) / Math.max(1, most - 1))]);
}

// The kept cells, or else a sample; and what is pointed at, in the place of others if need be.
function followed() {
  const own = (cell) => data.paths.place.has(cell);
  const some = state.kept.some(own) ? state.kept.filter(own) : sample();
  const pointed = state.pointed.filter((cell) => own(cell) && !some.includes(cell)).slice(0, MOST_MARKED);
  return [...some.slice(0, MOST_MARKED - pointed.length), ...pointed];
}

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

function drawPaths() {
  if (!plots.has("paths")) return;
  tracks = followed().map(track);
  move();
}

function move() {
  const last = Math.max(0, ...tracks.map(({steps}) => steps.at(-1)));
  const step = stepAt(slider.valueAsNumber, last);
  document.getElementById("at").textContent = `step ${step} of ${last}`;
  slider.setAttribute("aria-valuetext", `step ${step}`);
  const rows = tracks.map((one, at) => {
    const {colour, dash} = groupOf(cells.setting[one.cell]);
    const isMarked = state.kept.includes(one.cell) || state.pointed.includes(one.cell);
    const plain = {colour: inked(colour), dash, width: 1.5, alpha: state.pointed.length ? 0.4 : 0.9};
    const isWhole = slider.valueAsNumber === LAST;
    const way = isWhole ? one : upTo(one, step);
    return {...way, xs: way.xs, what: cells.label[one.cell], ...(isMarked ? look(one.cell) : plain), cell: one.cell};
  });
  rows.sort((a, b) => a.width - b.width); // what is marked is drawn last
  fill("paths marks", rows, PATHS);
  const ends = (from) => rows.map((one) => ({x: one.xs.at(from), y: one.ys.at(from), colour: one.colour}));
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
for (const what of ["pointed", "kept", "filter", "look"]) listen(what, drawPaths);
