// The table: settings with their cells below, or cells; sorted over all rows, some of them shown.
const FEW = 200;
const {columns, settings: ofSettings} = data.table;
const table = document.getElementById("cells");
const rowOf = {cell: new Map(), setting: new Map()};
let most = FEW, sorted = data.problems > 1 ? -1 : 0, upwards = true;

function compare(a, b) {
  [a, b] = [a, b].map((value) => (value === "inf" ? Infinity : value));
  if (a === b) return 0;
  if (a === null || a === "") return 2; // what is not there comes last, either way
  if (b === null || b === "") return -2;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : 1;
}

function inOrder(numbers, rows) {
  if (sorted < 0) return numbers;
  return numbers.sort((one, other) => {
    const order = compare(rows[one][sorted], rows[other][sorted]);
    return (Math.abs(order) === 2 || upwards ? order : -order);
  });
}

function visibleCells(some) { return some.filter((cell) => visible[cell]); }

const placeOf = new Int32Array(count);
data.table.order.forEach((cell, place) => { placeOf[cell] = place; });

function ranked(some) { return visibleCells(some).sort((a, b) => placeOf[a] - placeOf[b]); }

// A setting's row; anew, of what a filter leaves of its cells.
function settingRow(setting) {
  if (isWhole(setting)) return ofSettings[setting];
  const rows = cellsOfSetting(setting).map((cell) => data.table.cells[cell]);
  const outcomeAt = columns.findIndex(({key}) => key === "outcome");
  const by = columns.findIndex(({key}) => key === (data.by === "excess loss" ? "excess" : "final_loss"));
  const isRanked = (at) => ["final_loss", "excess"].includes(columns[at].key);
  const ended = (row, at) => (row[outcomeAt] === "diverged" && isRanked(at) ? Infinity : row[at]);
  const own = (at) => spread(rows.map((row) => ended(row, at)).map((value) => (typeof value === "number" ? value : NaN)));
  const ranking = own(by);
  return columns.map(({key}, at) => {
    if (key === "rank") return null;
    if (key === "count") return rows.length;
    if (key === "outcome") {
      const all = rows.map((row) => row[at]);
      return [...new Set(all)].map((one) => `${all.filter((other) => other === one).length} ${one}`).join(", ");
    }
    if (["low", "high", "diverged"].includes(key)) return ranking?.[key] ?? null;
    if (key.startsWith("swept") || key === "problem") return ofSettings[setting][at];
    return own(at)?.middle ?? null;
  });
}

// What is shown, from above: {setting} or {cell}.
function lines() {
  if (!ofSettings) return inOrder(visibleCells(data.table.order), data.table.cells).map((cell) => ({cell}));
  const there = data.settings.map((_, at) => at).filter(isThere);
  const rows = Object.fromEntries(there.map((setting) => [setting, settingRow(setting)]));
  return inOrder(there, rows).flatMap((setting) => [
    {setting},
    ...(state.open.includes(setting)
      ? inOrder(ranked(data.settings[setting].cells), data.table.cells).map((cell) => ({cell}))
      : []),
  ]);
}

function cellsOf({cell, setting}) {
  return setting === undefined ? [cell] : cellsOfSetting(setting);
}

function written(value, {key}) {
  if (typeof value === "number" && key.startsWith("swept")) return String(Number(value.toPrecision(12)));
  return shown(value);
}

function row(one) {
  const line = document.createElement("tr");
  const isSetting = one.setting !== undefined;
  const values = isSetting ? settingRow(one.setting) : data.table.cells[one.cell];
  values.forEach((value, at) => {
    const cell = line.insertCell();
    cell.textContent = written(value, columns[at]);
    cell.className = columns[at].key === "reason" ? "reason" : typeof value === "number" || value === "inf" ? "number" : "";
  });
  line.tabIndex = -1;
  if (isSetting) {
    const isOpen = state.open.includes(one.setting);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "open";
    button.textContent = isOpen ? "▾" : "▸";
    button.setAttribute("aria-expanded", isOpen);
    button.setAttribute("aria-label", `cells of ${data.settings[one.setting].label}`);
    button.addEventListener("click", (event) => { event.stopPropagation(); toggle(one.setting); });
    line.cells[0].prepend(button, " ");
  } else if (ofSettings) {
    line.className = "below";
    line.cells[0].textContent = "";
  }
  rowOf[isSetting ? "setting" : "cell"].set(isSetting ? one.setting : one.cell, line);
  line.addEventListener("mouseenter", () => point(cellsOf(one)));
  line.addEventListener("focus", () => point(cellsOf(one)));
  line.addEventListener("click", () => keep(cellsOf(one).slice(0, MOST_MARKED)));
  line.addEventListener("keydown", (event) => {
    if (event.target !== line) return;
    const next = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[event.key];
    const opens = {ArrowRight: true, ArrowLeft: false}[event.key];
    if (next) line[next]?.focus();
    else if (event.key === "Enter" || event.key === " ") keep(cellsOf(one).slice(0, MOST_MARKED));
    else if (isSetting && opens !== undefined) {
      if (opens !== state.open.includes(one.setting)) toggle(one.setting);
    } else return;
    event.preventDefault();
  });
  return line;
}

function toggle(setting) {
  const isOpen = state.open.includes(setting);
  state.open = isOpen ? state.open.filter((one) => one !== setting) : [...state.open, setting];
  fillTable();
  rowOf.setting.get(setting)?.focus();
  remember();
}

function fillTable() {
  rowOf.cell.clear();
  rowOf.setting.clear();
  const body = document.createElement("tbody");
  const all = lines();
  body.append(...all.slice(0, most).map(row));
  if (body.rows.length) body.rows[0].tabIndex = 0; // from there on, the arrows lead
  body.addEventListener("focusin", ({target}) => {
    const line = target.closest("tr");
    for (const other of body.querySelectorAll("tr[tabindex='0']")) other.tabIndex = -1;
    line.tabIndex = 0;
  });
  body.addEventListener("mouseleave", () => point([]));
  table.replaceChild(body, table.tBodies[0]);
  const isAll = all.length <= most;
  const hidden = count - visibleCells(data.table.order).length;
  document.getElementById("shown").textContent =
    (isAll ? `${all.length} row${all.length === 1 ? "" : "s"}` : `The first ${most} of ${all.length} rows, sorted over all`)
    + (hidden ? `; ${hidden} cells are filtered out.` : ".");
  document.getElementById("of-all").hidden = !hidden;
  for (const id of ["next", "all"]) document.getElementById(id).hidden = isAll;
  markRows();
}

let dressedRows = [];
function markRows() {
  for (const line of dressedRows) {
    line.classList.remove("pointed", "kept");
    line.style.removeProperty("--mark");
  }
  dressedRows = [];
  for (const [kind, some] of [["kept", state.kept], ["pointed", state.pointed]]) {
    const whole = ofSettings ? some.map((cell) => rowOf.setting.get(cells.setting[cell])) : [];
    const own = some.map((cell) => rowOf.cell.get(cell));
    own.forEach((line, at) => {
      if (line && kind === "kept") line.style.setProperty("--mark", look(some[at]).colour);
    });
    for (const line of new Set([...own, ...whole].filter(Boolean))) {
      line.classList.add(kind);
      dressedRows.push(line);
    }
  }
}

function sort(at) {
  upwards = at === sorted ? !upwards : true;
  sorted = at;
  markHead();
  fillTable();
}

function markHead() {
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
markHead();
document.getElementById("next").addEventListener("click", () => { most += FEW; fillTable(); });
document.getElementById("all").addEventListener("click", () => { most = Infinity; fillTable(); });
listen("filter", fillTable);
listen("pointed", markRows);
listen("kept", markRows);
listen("look", markRows);

function quoted(value) {
  const own = value === null || value === undefined ? "" : String(value);
  return /[",\n\r]/.test(own) ? `"${own.replaceAll('"', '""')}"` : own;
}

// What the filters leave, in the table's order; columns that have nothing there are left out.
function csv(rows) {
  const there = columns.map((_, at) => at).filter((at) => rows.some((row) => row[at] !== null && row[at] !== ""));
  const told = [columns.map((column) => column.label), ...rows];
  return told.map((one) => there.map((at) => quoted(one[at])).join(",")).join("\r\n");
}

function save(name, rows) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${csv(rows)}\r\n`], {type: "text/csv"}));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.getElementById("csv").addEventListener("click", () => {
  const some = inOrder(visibleCells(data.table.order), data.table.cells);
  save("cells.csv", some.map((cell) => data.table.cells[cell]));
});
document.getElementById("csv-settings")?.addEventListener("click", () => {
  save("settings.csv", lines().filter(({setting}) => setting !== undefined).map(({setting}) => settingRow(setting)));
});
