// Once the plots are there: fill them, and answer what happens in them.
function cellsAt(name, indices) {
  const own = indices.length ? indices[0] : null;
  if (own === null) return [];
  if (name === "sensitivity") return [cellsDrawn[own]];
  if (name === "heat") return boxesDrawn[own] ?? [];
  if (name === "search") return [samplesDrawn[own]];
  if (name === "paths") return tracks[own] ? [tracks[own].cell] : [];
  return [main, ...panels].find((panel) => panel.name === name)?.cells[own] ?? [];
}

let from = null;
globalThis.page = {
  // Bokeh tells of every move within a plot, also where nothing is.
  pointed(name, {indices}) {
    const found = cellsAt(name, indices);
    if (!found.length && from !== name) return;
    from = found.length ? name : null;
    point(found);
  },
  tapped(name, {selected}) {
    const found = cellsAt(name, selected.indices);
    selected.indices = [];
    keep(found.slice(0, MOST_MARKED));
  },
  plots,
  state,
};

function begin() {
  const documents = globalThis.Bokeh?.documents ?? [];
  if (data.plots && (!documents.length || !documents.every((one) => one.is_idle))) return void setTimeout(begin, 30);
  for (const plot of documents.flatMap((one) => one.roots())) plots.set(plot.name, plot);
  filter();
  dress();
  chips();
  document.body.dataset.ready = "true";
}
begin();

// While a sweep goes on its page is written anew, and read again with what was chosen.
if (data.refresh) setTimeout(() => location.reload(), 1000 * data.refresh);
