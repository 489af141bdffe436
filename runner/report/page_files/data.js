// What the page knows: its arrays unpacked, and each quantity's curves by cell.
const data = JSON.parse(document.getElementById("data").textContent);
const KINDS = {f4: Float32Array, f8: Float64Array, i4: Int32Array};

function unpacked({type, content}) {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  return new KINDS[type](bytes.buffer);
}

const {cells} = data;
for (const key of ["final loss", "excess loss", "epochs to tolerance", "edge"]) cells[key] = unpacked(cells[key]);
for (const swept of Object.values(data.swept)) swept.numbers = swept.numbers && unpacked(swept.numbers);
const count = cells.label.length;

// Curves of several cells, one after another: where each begins, by cell.
function unpackCurves(one, ...columns) {
  for (const key of ["cells", "counts", "steps", ...columns]) one[key] = unpacked(one[key]);
  one.place = new Map();
  let from = 0;
  one.cells.forEach((cell, number) => {
    one.place.set(cell, [from, from += one.counts[number]]);
  });
  return one;
}

for (const quantity of data.quantities) {
  unpackCurves(quantity, "values");
  for (const band of quantity.bands) {
    for (const key of ["steps", "low", "middle", "high"]) band[key] = unpacked(band[key]);
  }
}
if (data.paths) unpackCurves(data.paths, "x", "y");

function curve(quantity, cell) {
  const place = quantity.place.get(cell);
  if (!place) return null;
  return {steps: quantity.steps.subarray(...place), values: quantity.values.subarray(...place)};
}

function quantityOf(role) {
  return data.quantities.find((one) => one.role === role);
}

// Between the steps at which it is known, a value is taken to be on a straight line.
function between(steps, values, step) {
  let low = 0, high = steps.length - 1;
  if (step >= steps[high]) return values[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle; else high = middle;
  }
  const share = (step - steps[low]) / (steps[high] - steps[low] || 1);
  return values[low] + Math.max(0, share) * (values[high] - values[low]);
}

// The median, and values that occurred as quartiles: as `runner/base/seeds.py` has them.
function spread(values) {
  const there = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const last = there.length - 1;
  if (last < 0) return null;
  const middle = there[Math.floor(last / 2)], next = there[Math.ceil(last / 2)];
  return {
    count: last + 1,
    middle: middle === next ? middle : (middle + next) / 2,
    low: there[Math.floor(last / 4)],
    high: there[Math.ceil(3 * last / 4)],
    diverged: there.filter((value) => value === Infinity).length,
  };
}

function isWide(values, decades = 2) {
  const there = values.filter((value) => Number.isFinite(value) && value > 0);
  if (!there.length || values.some((value) => value < 0)) return false;
  return Math.log10(extent(there)[1] / extent(there)[0]) >= decades;
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high && value < Infinity) high = value;
  }
  return [low, high];
}

function shown(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value !== "number") return value;
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const plain = Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6;
  return plain ? String(Number(value.toPrecision(6))) : value.toExponential(5).replace(/\.?0*e/, "e");
}
