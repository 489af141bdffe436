"""What all of the page's plots have in common, by Bokeh, before anything is in them.

The page's own scripts fill them. Each plot has its own name, and sources by names that begin with
it: what is drawn for all, what is marked.
"""

from typing import Any

from bokeh.models import ColumnDataSource, CustomJS, HoverTool, Range1d, SaveTool, TapTool
from bokeh.plotting import figure

HEIGHT, SMALL = 440, 260
TOOLS = "pan,box_zoom,wheel_zoom,reset"
INK = "#888888"
"""Of what has no colour of its own: seen on white and on black"""
POINTED = "globalThis.page?.pointed(cb_obj.tags[0], cb_data.index)"
TAPPED = "globalThis.page?.tapped(cb_obj.tags[0], cb_data.source)"


def plot(name: str, x: str, y: str, **options: Any) -> Any:
    """An empty plot that fills its width, and leaves scrolling to the page."""
    made = figure(
        name=name,
        height=options.pop("height", HEIGHT),
        sizing_mode="stretch_width",
        tools=TOOLS,
        active_drag=None,
        active_scroll=None,
        toolbar_location="above",
        x_axis_label=x,
        y_axis_label=y,
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        output_backend="canvas",
        **options,
    )
    made.add_tools(SaveTool(filename=name))  # without one, the reader is asked
    made.xaxis.ticker.desired_num_ticks = 4  # as many as a narrow page has room for
    made.toolbar.logo = None
    made.toolbar.autohide = False
    return made


def source(name: str, *columns: str) -> Any:
    return ColumnDataSource({column: [] for column in columns}, name=name)


LOOK = {"color": "colour", "line_dash": "dash", "line_width": "width", "line_alpha": "alpha"}
"""Of lines that each have their own: the columns of a source"""


def bands(made: Any, name: str) -> None:
    """What lies between the quartiles."""
    made.patches(
        "xs",
        "ys",
        source=source(f"{name} bands", "xs", "ys", "colour"),
        fill_color="colour",
        fill_alpha=0.15,
        line_color=None,
    )


def named_lines(made: Any, name: str) -> None:
    """Lines of the source with that name, each group of which has an entry in the legend."""
    made.multi_line(
        "xs",
        "ys",
        source=source(name, "xs", "ys", "group", "colour", "dash"),
        color="colour",
        line_dash="dash",
        line_width=2,
        legend_field="group",
    )


def answer(made: Any, renderer: Any, *shown: tuple[str, str], **how: Any) -> None:
    """Tell what is under the mouse, and the page's scripts too; a tap keeps it."""
    # Bokeh's own format of a number knows no exponent.
    numbers = {field.partition("{")[0]: "printf" for _, field in shown if "{%" in field}
    made.add_tools(
        HoverTool(
            renderers=[renderer],
            tooltips=list(shown),
            formatters=numbers,
            callback=CustomJS(code=POINTED),
            tags=[made.name],
            **how,
        ),
        TapTool(renderers=[renderer], callback=CustomJS(code=TAPPED), tags=[made.name]),
    )


def steady(renderer: Any) -> Any:
    """What a tap leaves as it looks."""
    renderer.selection_glyph = renderer.nonselection_glyph = None
    return renderer


def legend(made: Any) -> None:
    """Above the plot, where it hides no curve."""
    [own] = made.legend
    own.ncols = 3
    own.label_text_font_size = "12px"
    own.padding = own.margin = own.spacing = 2
    own.border_line_color = None
    made.add_layout(own, "above")
