"use strict";
// The table of cells: sorted over all rows, of which a few hundred at a time are shown.
const FEW = 200;
const {columns, rows} = JSON.parse(document.getElementById("data").textContent);
const table = document.getElementById("cells");
let most = FEW, sorted = 0, upwards = true;

function shown(value, column) {
  if (value === null) return "";
  if (typeof value !== "number") return value;
  if (column.key.startsWith("swept")) return String(Number(value.toPrecision(12)));
  if (Number.isInteger(value) && value < 1e6) return String(value);
  const plain = Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6;
  return plain ? String(Number(value.toPrecision(6))) : value.toExponential(5).replace(/\.?0*e/, "e");
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === "") return 2; // what is not there comes last, either way
  if (b === null || b === "") return -2;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : 1;
}

function fill() {
  const body = document.createElement("tbody");
  for (const row of rows.slice(0, most)) {
    const line = body.insertRow();
    row.forEach((value, at) => {
      const cell = line.insertCell();
      cell.textContent = shown(value, columns[at]);
      cell.className = columns[at].key === "reason" ? "reason" : typeof value === "number" ? "number" : "";
    });
  }
  table.replaceChild(body, table.tBodies[0]);
  const count = Math.min(most, rows.length);
  const all = count === rows.length;
  document.getElementById("shown").textContent =
    all ? `${count} rows.` : `The first ${count} of ${rows.length} rows, sorted over all. `;
  for (const id of ["next", "all"]) document.getElementById(id).hidden = all;
}

function sort(at) {
  upwards = at === sorted ? !upwards : true;
  sorted = at;
  rows.sort((a, b) => {
    const order = compare(a[at], b[at]);
    return (Math.abs(order) === 2 || upwards ? order : -order) || a[0] - b[0];
  });
  mark();
  fill();
}

function mark() {
  [...table.tHead.rows[0].cells].forEach((cell, at) =>
    cell.setAttribute("aria-sort", at !== sorted ? "none" : upwards ? "ascending" : "descending"));
}

const head = table.tHead.insertRow();
columns.forEach((column, at) => {
  const cell = document.createElement("th");
  cell.scope = "col";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = column.label;
  button.addEventListener("click", () => sort(at));
  cell.append(button);
  head.append(cell);
});
mark();
fill();
document.getElementById("next").addEventListener("click", () => { most += FEW; fill(); });
document.getElementById("all").addEventListener("click", () => { most = rows.length; fill(); });

// A checkbox and the plots' own legends show and hide the same curves.
function renderers(group) {
  return Bokeh.documents.flatMap((document) => document.roots())
    .flatMap((plot) => plot.renderers ?? []).filter((one) => one.name === group);
}

function follow() {
  if (!globalThis.Bokeh || !Bokeh.documents.length) return void setTimeout(follow, 50);
  for (const box of document.querySelectorAll("input[data-group]")) {
    const own = renderers(box.dataset.group);
    box.addEventListener("change", () => own.forEach((one) => { one.visible = box.checked; }));
    for (const one of own) {
      one.on_change(one.properties.visible, () => {
        box.checked = one.visible;
        own.forEach((other) => { other.visible = one.visible; });
      });
    }
  }
}
follow();
