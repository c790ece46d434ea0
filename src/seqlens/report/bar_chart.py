"""Bar charts: the rows behind the drawing, its Vega-Lite specification, its legend and its table of numbers."""

import json
from collections.abc import Iterator

from seqlens.report.numbers import MISSING, decimals_for, format_number
from seqlens.report.sections import BarChart, Bars, Interval, Table
from seqlens.report.text import display_width
from seqlens.report.vega import (
    HEIGHT,
    WIDTH,
    Spec,
    by_series,
    colour,
    draw,
    finite,
    legend,
    one_line,
    reaches_beyond,
    strength,
)

# Roughly one column of text at the size of axis labels, in pixels.
_COLUMN_PIXELS = 7.0
_ROW_PIXELS = 22


def bar_chart_html(chart: BarChart, key: str) -> str:
    """Returns legend and drawing; `key` is a word that no other drawing on the page has.

    The chart lies on its side where the names of its categories need the room.
    """
    rows = _rows(chart)
    if all(row["value"] is None for row in rows):
        return '<p class="empty">No values to draw.</p>'
    swatches = [
        f'<rect x="6" width="14" height="12" rx="2" fill="{colour(index)}" opacity="{strength(index)}"/>'
        for index in range(len(chart.series))
    ]
    names = [bars.name for bars in chart.series]
    return legend(names, swatches) + draw(_spec(chart, rows), key=key, label=chart.title)


def bar_chart_table(chart: BarChart) -> Table:
    """Returns the numbers behind the drawing, a row for each category."""
    rows = [
        [category, *(bars.values[index] for bars in chart.series)] for index, category in enumerate(chart.categories)
    ]
    return Table("", [chart.x_title, *(bars.name for bars in chart.series)], rows)


def _rows(chart: BarChart) -> list[Spec]:
    drawn = [value for bars in chart.series for value, _, _ in _numbers(bars) if value is not None]
    decimals = decimals_for(drawn)
    whole = all(isinstance(value, int) for bars in chart.series for value in bars.values if value is not None)
    rows: list[Spec] = []
    for index, bars in enumerate(chart.series):
        for category, (value, low, high) in enumerate(_numbers(bars)):
            label = MISSING
            if value is not None:
                label = format_number(int(value) if whole else value, decimals)
            rows.append(
                {
                    "series": index,
                    "category": category,
                    "value": value,
                    "low": low,
                    "high": high,
                    "top": max(value or 0.0, high or 0.0, 0.0),
                    "label": label,
                }
            )
    return rows


def _numbers(bars: Bars) -> Iterator[tuple[float | None, float | None, float | None]]:
    """Yields value, low and high of each bar, low and high None where there is no finite interval to draw."""
    for bar in bars.values:
        if isinstance(bar, Interval):
            value, low, high = finite(bar.value), finite(bar.low), finite(bar.high)
            yield (value, low, high) if None not in (value, low, high) else (value, None, None)
        else:
            yield finite(bar), None, None


def _spec(chart: BarChart, rows: list[Spec]) -> Spec:
    names = [one_line(name) for name in chart.categories]
    label_pixels = _COLUMN_PIXELS * max(display_width(name) for name in names)
    value_pixels = _COLUMN_PIXELS * max(display_width(row["label"]) for row in rows)
    bar_pixels = max(28.0, value_pixels + 4)
    group_pixels = max(72.0, bar_pixels * len(chart.series) * 1.3)
    upright = group_pixels * len(names) <= WIDTH and label_pixels <= group_pixels
    labels: Spec = {
        "domain": True,
        "grid": False,
        "labelAngle": 0,
        "labelColor": "var(--ink)",
        # JSON is what the expression language writes arrays of text in.
        "labelExpr": f"{json.dumps(names)}[datum.value]",
        "labelLimit": 0,
        "labelOverlap": False,
        "ticks": False,
    }
    if upright:
        size: Spec = {"width": max(400.0, group_pixels * len(names)), "height": HEIGHT}
    else:
        # The room for the names is said outright: this machine may lack the fonts to measure them with.
        labels["minExtent"] = label_pixels + 12
        size = {
            "width": max(360.0, WIDTH - label_pixels),
            "height": _ROW_PIXELS * 1.3 * len(chart.series) * len(names) + 10,
        }
    category: Spec = {
        "field": "category",
        "type": "nominal",
        "sort": None,
        "title": one_line(chart.x_title),
        "axis": labels,
        "scale": {"domain": list(range(len(names))), "paddingInner": 0.2, "paddingOuter": 0.12},
    }
    across = "x" if upright else "y"
    offset: Spec = {"field": "series", "sort": None, "scale": {"domain": list(range(len(chart.series)))}}
    return {
        **size,
        "data": {"values": rows},
        "encoding": {across: category, f"{across}Offset": offset},
        "layer": _layers(chart, rows, upright),
    }


def _layers(chart: BarChart, rows: list[Spec], upright: bool) -> list[Spec]:
    along = "y" if upright else "x"
    value: Spec = {
        "type": "quantitative",
        "title": one_line(chart.y_title),
        "axis": {"domain": False, "grid": True, "ticks": False, "tickCount": 5, "labelFlush": False},
        "scale": {"zero": True, "nice": True},
    }
    if chart.y_range is not None:
        value["scale"] = {"domain": list(chart.y_range), "nice": False}
    clip = reaches_beyond([row["value"] for row in rows], chart.y_range)
    place_text: Spec = {"dy": -7} if upright else {"dx": 6, "align": "left"}
    count = len(chart.series)
    error_bars: list[Spec] = []
    if any(row["low"] is not None for row in rows):
        # Drawn twice: the seam beneath keeps the error bar visible on a bar of its own lightness.
        error_bars += _error_bars(along, value, "var(--page)", 3.6) + _error_bars(along, value, "var(--ink)", 1.4)
    return [
        {
            "mark": {"type": "bar", "clip": clip},
            "encoding": {
                along: {"field": "value", **value},
                "color": by_series(count, [colour(index) for index in range(count)]),
                "opacity": by_series(count, [strength(index) for index in range(count)]),
            },
        },
        *error_bars,
        {
            "mark": {"type": "text", "color": "var(--ink)", "fontSize": 11, **place_text},
            "encoding": {along: {"field": "top", **value}, "text": {"field": "label", "type": "nominal"}},
        },
    ]


def _error_bars(along: str, value: Spec, ink: str, thickness: float) -> list[Spec]:
    has_interval = [{"filter": "isValid(datum.low)"}]
    rule: Spec = {
        "mark": {"type": "rule", "color": ink, "strokeWidth": thickness},
        "transform": has_interval,
        "encoding": {along: {"field": "low", **value}, f"{along}2": {"field": "high"}},
    }
    end_mark = {"type": "tick", "color": ink, "size": 8 + thickness, "thickness": thickness}
    ends: list[Spec] = [
        {"mark": end_mark, "transform": has_interval, "encoding": {along: {"field": end, **value}}}
        for end in ("low", "high")
    ]
    return [rule, *ends]
