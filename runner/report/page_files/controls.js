// The filters that act on everything, what is pointed at, and what is kept.
const outcomes = [...new Set(cells.outcome)];
const text = document.getElementById("text");
text.value = state.text;
text.parentElement.hidden = count < 2;
text.addEventListener("input", () => { state.text = text.value; filter(); });

function boxes(place, names, hidden, swatch) {
  names.forEach((name, at) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    const key = hidden === "groups" ? at : name;
    box.type = "checkbox";
    box.checked = !state[hidden].includes(key);
    box.addEventListener("change", () => {
      state[hidden] = state[hidden].filter((one) => one !== key);
      if (!box.checked) state[hidden].push(key);
      filter();
    });
    label.append(box, ...(swatch ? [swatch(at)] : []), name);
    place.append(label);
  });
  place.hidden = names.length < 2;
}

function swatch(colour, dash) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS(svg.namespaceURI, "line");
  const own = {x1: 0, y1: 4, x2: 26, y2: 4, "stroke-width": 3, stroke: inked(colour), class: dash};
  for (const [key, value] of Object.entries({width: 26, height: 8})) svg.setAttribute(key, value);
  for (const [key, value] of Object.entries(own)) line.setAttribute(key, value);
  line.dataset.colour = colour;
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  return svg;
}
boxes(document.getElementById("outcomes"), outcomes, "hidden");
boxes(document.getElementById("groups"), data.groups.map((one) => one.label), "groups", (at) =>
  swatch(data.groups[at].colour, data.groups[at].dash));

function told(some) {
  const [cell] = some;
  if (cell === undefined) return "Point at a row, a curve or a point: it is marked everywhere. A click keeps it.";
  if (some.length > 1) {
    const drawn = some.length > MOST_MARKED ? `, of which ${MOST_MARKED} are drawn` : "";
    return `${data.settings[cells.setting[cell]].label}: ${some.length} cells${drawn}`;
  }
  return `${cells.label[cell]}: ${data.by} ${shown(cells[data.by][cell])}, ${cells.outcome[cell]}`;
}

listen("pointed", () => { document.getElementById("readout").textContent = told(state.pointed); });
document.getElementById("readout").textContent = told([]);

// A chip for each kept cell; one for those of a setting, if there are several.
function chips() {
  const place = document.getElementById("kept");
  const together = new Map();
  for (const cell of state.kept) {
    const setting = cells.setting[cell];
    together.set(setting, [...(together.get(setting) ?? []), cell]);
  }
  place.replaceChildren(...[...together].map(([setting, some]) => {
    const button = document.createElement("button");
    const {colour, dash} = look(some[0]);
    const name = some.length > 1 ? `${data.settings[setting].label}, ${some.length} cells` : cells.label[some[0]];
    button.type = "button";
    button.append(swatch(colour, dash), `${name} ✕`);
    button.setAttribute("aria-label", `no longer keep ${name}`);
    button.addEventListener("click", () => keep(some));
    return button;
  }));
  if (state.kept.length > 1) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "keep none";
    button.addEventListener("click", () => { state.kept = []; changed("kept"); });
    place.append(button);
  }
}
addEventListener("keydown", ({key}) => {
  if (key !== "Escape" || !state.kept.length) return;
  state.kept = [];
  changed("kept");
});
listen("kept", chips);
listen("look", chips);

// A choice on the page: a select or a checkbox with that id, remembered under it.
function choice(id, answer) {
  const control = document.getElementById(id);
  if (!control) return null;
  const key = control.type === "checkbox" ? "checked" : "value";
  if (state.choices[id] !== undefined) control[key] = state.choices[id];
  if (key === "value" && !control.value) control.selectedIndex = 0;
  control.addEventListener("change", () => {
    state.choices[id] = control[key];
    changed("choices");
    answer();
  });
  return control;
}

function options(control, names, selected) {
  control.replaceChildren(...names.map((name) => new Option(name, name, false, name === selected)));
}
