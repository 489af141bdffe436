// Colours: those of the reader's setting, and on paper always those of the light one.
const dark = matchMedia("(prefers-color-scheme: dark)");
let isPrinted = false;

function isDark() { return dark.matches && !isPrinted; }

// Black is the one colour of the palette that a dark page swallows.
function inked(colour) {
  if (colour !== "ink" && colour !== "#000000") return colour;
  return isDark() ? "#ffffff" : "#000000";
}

function dressed(plot) {
  const [ink, paper, faint] = isDark() ? ["#e6e6e6", "#161616", "#444444"] : ["#1a1a1a", "#ffffff", "#dddddd"];
  plot.setv({background_fill_color: paper, border_fill_color: paper, outline_line_color: faint});
  for (const part of [...plot.below, ...plot.left, ...plot.above, ...plot.right, ...plot.center]) {
    if (part.type.endsWith("Axis")) {
      part.setv({
        axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink,
        major_tick_line_color: ink, minor_tick_line_color: ink,
      });
    } else if (part.type === "Grid") {
      part.grid_line_color = faint;
    } else if (part.type === "Legend") {
      part.setv({label_text_color: ink, background_fill_color: paper});
    } else if (part.type === "ColorBar") {
      part.setv({major_label_text_color: ink, background_fill_color: paper});
    }
  }
}

function dress() {
  plots.forEach(dressed);
  for (const line of document.querySelectorAll("svg line[data-colour]")) {
    line.setAttribute("stroke", inked(line.dataset.colour));
  }
  changed("look");
}
dark.addEventListener("change", dress);
matchMedia("print").addEventListener("change", ({matches}) => { isPrinted = matches; dress(); });
for (const [event, printed] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(event, () => { isPrinted = printed; dress(); });
}

const plots = new Map();

function source(name) {
  return plots.get(name.split(" ")[0]).renderers.map((one) => one.data_source ?? one.fill_renderer?.data_source)
    .find((one) => one?.name === name);
}

// Rows as columns of a source: every row has the same keys.
function fill(name, rows, keys) {
  source(name).data = Object.fromEntries(keys.map((key) => [key, rows.map((row) => row[key])]));
}

function scaled(plot, which, isLog) {
  const make = (name, how) => new (Bokeh.Models.get(name))(how);
  const kind = isLog ? "Log" : "Linear";
  if (plot[`${which}_scale`].type === `${kind}Scale`) return;
  const [axis] = which === "x" ? plot.below : plot.left;
  plot[`${which}_scale`] = make(`${kind}Scale`);
  axis.ticker = make(isLog ? "LogTicker" : "BasicTicker", {desired_num_ticks: 4});
  axis.formatter = make(isLog ? "LogTickFormatter" : "BasicTickFormatter", {});
}

function ranged(plot, which, low, high, isLog) {
  if (!(low <= high)) [low, high] = isLog ? [0.1, 1] : [0, 1];
  if (isLog) {
    const margin = (high / low) ** 0.04 || 1;
    [low, high] = margin > 1 ? [low / margin, high * margin] : [low / 2, high * 2];
  } else {
    const margin = 0.04 * (high - low) || Math.abs(high) || 1;
    [low, high] = [low - margin, high + margin];
  }
  plot[`${which}_range`].setv({start: low, end: high, reset_start: low, reset_end: high});
  return [low, high];
}

function titled(plot, which, text) {
  (which === "x" ? plot.below : plot.left)[0].axis_label = text;
}
