// How a search went: the value of each of its samples, and the best so far.
const {search} = data;
const toNumber = (value) => (value === null ? NaN : value === "inf" ? Infinity : value);
let samplesDrawn = [];

function drawSearch() {
  const plot = plots.get("search");
  if (!plot) return;
  const values = search.values.map(toNumber), best = search.best.map(toNumber);
  const there = values.map((_, cell) => cell).filter((cell) => visible[cell] && !Number.isNaN(values[cell]));
  const finite = values.filter(Number.isFinite);
  const isLog = isWide(finite);
  let [low, high] = finite.length ? extent(finite.filter((one) => one > 0 || !isLog)) : [isLog ? 0.1 : 0, 1];
  if (isLog) high = Math.max(low, Math.min(high, data.start > 0 ? MANY * data.start : high));
  scaled(plot, "y", isLog);
  ranged(plot, "x", 1, Math.max(1, best.length), false);
  const [, above] = ranged(plot, "y", low, high, isLog);
  const top = isLog ? Math.sqrt(high * above) : (high + above) / 2;
  samplesDrawn = there;
  fill("search cells", there.map((cell) => {
    const isPruned = cells.outcome[cell] === "pruned";
    const {colour, marker} = data.groups[data.settings[cells.setting[cell]].group];
    return {
      x: search.samples[cell], y: Math.min(values[cell], top), what: cells.label[cell],
      value: `${shown(values[cell])}, ${cells.outcome[cell]}`, colour: inked(colour),
      marker: values[cell] === Infinity ? "x" : marker, size: 8, alpha: isPruned ? 0 : 0.7,
    };
  }), ["x", "y", "what", "value", "colour", "marker", "size", "alpha"]);
  const steps = best.flatMap((value, at) => (Number.isFinite(value) ? [{x: at + 1, y: Math.min(value, top)}] : []));
  fill("search best", steps, ["x", "y"]);
  markSearch();
}

function markSearch() {
  if (plots.has("search")) markPoints("search", samplesDrawn);
}
for (const what of ["filter", "look"]) listen(what, drawSearch);
for (const what of ["pointed", "kept"]) listen(what, markSearch);
