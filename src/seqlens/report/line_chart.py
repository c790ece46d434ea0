"""Line charts: the rows behind the drawing, its Vega-Lite specification, its legend and its table of numbers."""

from collections.abc import Iterator, Sequence

from seqlens.report.sections import Interval, LineChart, Number, Series, Table, TableCell
from seqlens.report.vega import (
    HEIGHT,
    LOG_FORMAT,
    WIDTH,
    Spec,
    by_series,
    colour,
    dash,
    draw,
    finite,
    legend,
    log_ticks,
    one_line,
    reaches_beyond,
    shape,
    widened,
)

# Longer lines are thinned: at WIDTH pixels nobody sees the difference.
_MAX_POINTS = 1500
# Shorter ones show their points.
_MAX_DOTTED_POINTS = 40
_MAX_TABLE_ROWS = 60
_MAX_LABELLED_PLACES = 10
_SWATCH_SHAPES = {
    "circle": '<circle cx="13" cy="6" r="3.4"/>',
    "square": '<path d="M10 3h6v6h-6Z"/>',
    "triangle-up": '<path d="M13 2l4 7h-8Z"/>',
    "diamond": '<path d="M13 1.5l3.5 4.5l-3.5 4.5l-3.5 -4.5Z"/>',
    "triangle-down": '<path d="M13 10l4 -7h-8Z"/>',
    "cross": '<path d="M11.8 2.2h2.4v2.6h2.6v2.4h-2.6v2.6h-2.4v-2.6h-2.6v-2.4h2.6Z"/>',
}


def line_chart_html(chart: LineChart, key: str) -> str:
    """Returns legend and drawing; `key` is a word that no other drawing on the page has."""
    rows = [row for index, series in enumerate(chart.series) for row in _series_rows(index, series, chart)]
    if all(row["y"] is None for row in rows):
        return '<p class="empty">No values to draw.</p>'
    dotted = {row["series"] for row in rows if row["dot"]}
    swatches = [_swatch(index, index in dotted) for index in range(len(chart.series))]
    return legend([series.name for series in chart.series], swatches) + draw(
        _spec(chart, rows), key=key, label=chart.title
    )


def line_chart_table(chart: LineChart) -> Table | None:
    """Returns the numbers behind the drawing, a row for each x, or None where they are too many to be read."""
    columns = [_cells_by_x(series) for series in chart.series]
    places = sorted({x for column in columns for x in column})
    if not places or len(places) > _MAX_TABLE_ROWS:
        return None
    rows = [[x, *(column.get(x) for column in columns)] for x in places]
    return Table("", [chart.x_title, *(series.name for series in chart.series)], rows)


def gaps_note(chart: LineChart) -> str:
    """Returns a sentence for each reason why a value that was given is not drawn."""
    values = [value for series in chart.series for pair in zip(series.x, series.y) for value in pair]
    num_not_finite = sum(value is not None and finite(value) is None for value in values)
    on_log_axes = [
        value
        for series in chart.series
        for is_log, axis in ((chart.log_x, series.x), (chart.log_y, series.y))
        if is_log
        for value in axis
    ]
    num_not_positive = sum((number := finite(value)) is not None and number <= 0 for value in on_log_axes)
    sentences = []
    if num_not_finite:
        sentences.append(f"Values that are not finite numbers, shown as gaps: {num_not_finite}.")
    if num_not_positive:
        sentences.append(f"Values of zero or below, without a place on a logarithmic axis: {num_not_positive}.")
    return " ".join(sentences)


def _series_rows(index: int, series: Series, chart: LineChart) -> Iterator[Spec]:
    nothing: Sequence[Number | None] = (None,) * len(series.x)
    xs = [_drawable(x, chart.log_x) for x in series.x]
    ys = [None if x is None else _drawable(y, chart.log_y) for x, y in zip(xs, series.y)]
    lows = [_drawable(low, chart.log_y) for low in series.low or nothing]
    highs = [_drawable(high, chart.log_y) for high in series.high or nothing]
    few = sum(y is not None for y in ys) <= _MAX_DOTTED_POINTS
    for place in _visible(ys):
        y = ys[place]
        alone = (place == 0 or ys[place - 1] is None) and (place + 1 == len(ys) or ys[place + 1] is None)
        banded = None not in (y, lows[place], highs[place])
        yield {
            "series": index,
            "order": place,
            "x": xs[place],
            "y": y,
            "low": lows[place] if banded else None,
            "high": highs[place] if banded else None,
            "dot": y is not None and (few or alone),
        }


def _drawable(value: Number | None, is_log: bool) -> float | None:
    number = finite(value)
    return None if number is None or (is_log and number <= 0) else number


def _visible(ys: Sequence[float | None]) -> list[int]:
    """Returns which points to draw: of a long line the ends, the extremes and the first gap of each short stretch."""
    stretch = -(-3 * len(ys) // _MAX_POINTS)
    if stretch <= 3:
        return list(range(len(ys)))
    kept: set[int] = {0, len(ys) - 1}
    for start in range(0, len(ys), stretch):
        places = range(start, min(start + stretch, len(ys)))
        present = [(y, place) for place in places if (y := ys[place]) is not None]
        kept.update(place for _, place in (min(present), max(present))) if present else None
        kept.update([place for place in places if ys[place] is None][:1])
    return sorted(kept)


def _spec(chart: LineChart, rows: list[Spec]) -> Spec:
    indices = range(len(chart.series))
    count = len(indices)
    y_values = [row[name] for row in rows for name in ("y", "low", "high")]
    y = _y_channel(chart, y_values)
    clip = reaches_beyond(y_values, chart.y_range)
    dense = len(rows) > _MAX_POINTS / 2
    band: Spec = {
        "mark": {"type": "area", "opacity": 0.16, "clip": clip},
        "encoding": {"y": {"field": "low", **y}, "y2": {"field": "high"}},
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 1.4 if dense else 2, "strokeJoin": "round", "clip": clip},
        "encoding": {
            "y": {"field": "y", **y},
            "order": {"field": "order"},
            "strokeDash": by_series(count, [dash(index) for index in indices]),
        },
    }
    dots: Spec = {
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 44, "clip": clip},
        "transform": [{"filter": "datum.dot"}],
        "encoding": {"y": {"field": "y", **y}, "shape": by_series(count, [shape(index) for index in indices])},
    }
    has_band = any(row["low"] is not None for row in rows)
    has_dots = any(row["dot"] for row in rows)
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "data": {"values": rows},
        "encoding": {
            "x": _x_channel(chart, {row["x"] for row in rows if row["x"] is not None}),
            "color": by_series(count, [colour(index) for index in indices]),
        },
        "layer": [*([band] if has_band else []), line, *([dots] if has_dots else [])],
    }


def _y_channel(chart: LineChart, values: Sequence[float | None]) -> Spec:
    axis: Spec = {"domain": False, "ticks": False}
    scale: Spec = widened(values, is_log=chart.log_y)
    if chart.log_y:
        axis |= {"values": log_ticks(chart.y_range or values), "format": LOG_FORMAT}
        scale |= {"type": "log", "nice": False}
    else:
        axis |= {"tickCount": 6}
        scale |= {"zero": False, "nice": True}
    if chart.y_range is not None:
        scale |= {"domain": list(chart.y_range), "nice": False}
    return {"type": "quantitative", "title": one_line(chart.y_title), "axis": axis, "scale": scale}


def _x_channel(chart: LineChart, places: set[float]) -> Spec:
    axis: Spec = {"grid": False}
    scale: Spec = widened(places, is_log=chart.log_x) | {"nice": False, "padding": 8}
    if chart.log_x:
        # Few places, such as powers of two, are better labels than powers of ten.
        ticks = sorted(places) if len(places) <= _MAX_LABELLED_PLACES else log_ticks(places)
        axis |= {"values": ticks, "format": LOG_FORMAT}
        scale |= {"type": "log"}
    else:
        axis |= {"tickCount": 9}
        scale |= {"zero": False}
        if all(isinstance(place, int) for series in chart.series for place in series.x):
            axis |= {"tickMinStep": 1}
    return {"field": "x", "type": "quantitative", "title": one_line(chart.x_title), "axis": axis, "scale": scale}


def _swatch(index: int, dotted: bool) -> str:
    dashes = " ".join(map(str, dash(index)))
    line = f'<path d="M1 6h24" stroke="{colour(index)}" stroke-width="2.5" stroke-dasharray="{dashes}"/>'
    return line + (f'<g fill="{colour(index)}">{_SWATCH_SHAPES[shape(index)]}</g>' if dotted else "")


def _cells_by_x(series: Series) -> dict[Number, TableCell]:
    """Returns the cell at each x; where an x comes twice, the last one."""
    nothing: Sequence[Number | None] = (None,) * len(series.x)
    cells: dict[Number, TableCell] = {}
    for x, y, low, high in zip(series.x, series.y, series.low or nothing, series.high or nothing, strict=True):
        if x is None or finite(x) is None:
            continue
        cells[x] = Interval(y, low, high) if y is not None and low is not None and high is not None else y
    return cells
