// What is marked, filtered and chosen: kept in one place, of which every part of the page is told.
const MOST_MARKED = 12;
const state = {pointed: [], kept: [], text: "", hidden: [], groups: [], choices: {}, open: []};
const listeners = [];
const NAME = `report ${data.id}`;

// `what` is "pointed", "kept", "filter" or "choices".
function listen(what, answer) { listeners.push([what, answer]); }

function changed(what) {
  for (const [kind, answer] of listeners) if (kind === what) answer();
  if (what !== "pointed") remember();
}

function same(one, other) {
  return one.length === other.length && one.every((cell, at) => cell === other[at]);
}

function point(cells) {
  if (same(cells, state.pointed)) return;
  state.pointed = cells;
  changed("pointed");
}

function keep(some) {
  if (!some.length) return;
  const all = some.every((cell) => state.kept.includes(cell));
  const left = state.kept.filter((cell) => !some.includes(cell));
  state.kept = all ? left : [...left, ...some].slice(-MOST_MARKED);
  changed("kept");
}

function marked() {
  const pointed = state.pointed.slice(0, MOST_MARKED).filter((cell) => !state.kept.includes(cell));
  return [...state.kept, ...pointed];
}

// A kept cell has a colour of its own, what is pointed at the colour of ink.
function look(cell) {
  const at = state.kept.indexOf(cell);
  const isPointed = state.pointed.includes(cell);
  const {colour, dash} = at < 0 ? {colour: "ink", dash: "solid"} : {
    colour: data.colours[at % data.colours.length],
    dash: ["solid", "dashed"][Math.floor(at / data.colours.length) % 2],
  };
  return {colour: inked(colour), dash, width: isPointed ? 4.5 : 3, alpha: 1};
}

const searched = cells.label.map((label, cell) => [
  label, cells.name[cell], cells.outcome[cell],
  ...Object.entries(data.swept).map(([key, swept]) => `${key}=${swept.text[cell]}`),
].join(" ").toLowerCase());
let visible = new Uint8Array(count).fill(1);

function filter() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  visible = visible.map((_, cell) => Number(
    !state.hidden.includes(cells.outcome[cell])
    && !state.groups.includes(data.settings[cells.setting[cell]].group)
    && words.every((word) => searched[cell].includes(word))));
  state.pointed = [];
  changed("pointed");
  changed("filter");
}

// The cells of a setting that the filters leave: its figures are those of them.
function cellsOfSetting(setting) {
  return data.settings[setting].cells.filter((cell) => visible[cell]);
}

function isThere(setting) { return cellsOfSetting(setting).length > 0; }

function isWhole(setting) {
  return data.settings[setting].cells.every((cell) => visible[cell]);
}

function remember() {
  const {kept, text, hidden, groups, choices, open} = state;
  const names = kept.map((cell) => cells.name[cell]);
  const labels = open.map((setting) => data.settings[setting].label);
  try {
    sessionStorage.setItem(NAME, JSON.stringify({names, text, hidden, groups, choices, labels}));
  } catch { /* a browser that keeps nothing */ }
}

function recall() {
  let known = null;
  try {
    known = JSON.parse(sessionStorage.getItem(NAME));
  } catch { /* the same */ }
  if (!known) return;
  const {names, labels, ...rest} = known;
  Object.assign(state, rest);
  state.kept = names.map((name) => cells.name.indexOf(name)).filter((cell) => cell >= 0);
  state.open = data.settings.flatMap(({label}, at) => (labels.includes(label) ? [at] : []));
}
recall();
