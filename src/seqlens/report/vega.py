"""What all charts share: from a Vega-Lite specification to static SVG, by vl-convert and without the network.

Text stays text (`<text>` elements, set in the page's fonts by the browser) and colours are the page's CSS variables,
so that one drawing serves light, dark and print. The legend is HTML: it wraps, and its names need no measuring here.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from seqlens.report.sections import Number
from seqlens.report.text import clean_text, escape

Spec: TypeAlias = dict[str, Any]

WIDTH = 850
HEIGHT = 320
# Said outright: the format that Vega chooses for logarithmic axes leaves labels out.
LOG_FORMAT = ",~g"

_NUM_COLOURS = 6
_DASHES = ([1, 0], [7, 4], [2, 3])
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
_UNUSED_ATTRIBUTES = re.compile(
    r' (?:xmlns(?::xlink)?|version|class|role|aria-[a-z]+|pointer-events|font-family)="[^"]*"'
)
_EMPTY_PATH = re.compile(r'<path(?: display="none"| d="(?:M0,0h0v0h0Z)?")*/>')
_CONFIG: Spec = {
    "background": None,
    "view": {"stroke": None},
    "aria": False,
    "axis": {
        "domainColor": "var(--axis)",
        "gridColor": "var(--grid)",
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "labelPadding": 6,
        "tickColor": "var(--axis)",
        "tickSize": 4,
        "titleColor": "var(--muted)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
    },
    # The title lies flat above the axis, where any script can be read.
    "axisY": {
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleAngle": 0,
        "titleBaseline": "bottom",
        "titleX": 0,
        "titleY": -22,
    },
}


def colour(index: int) -> str:
    """Returns the CSS colour of a series."""
    return f"var(--series-{index % _NUM_COLOURS + 1})"


def dash(index: int) -> list[int]:
    """Returns the dash pattern of a line: the first colours come solid, their repetitions dashed, then dotted."""
    return _DASHES[index // _NUM_COLOURS % len(_DASHES)]


def strength(index: int) -> float:
    """Returns the opacity of a bar: the repetitions of the colours come paler."""
    return (1.0, 0.6, 0.35)[index // _NUM_COLOURS % 3]


def shape(index: int) -> str:
    """Returns the name of the point shape of a series."""
    return _SHAPES[index % len(_SHAPES)]


def by_series(count: int, look: Sequence[object]) -> Spec:
    """Returns the channel that gives each series, by its index in field `series`, its own look."""
    return {
        "field": "series",
        "type": "nominal",
        "legend": None,
        "scale": {"type": "ordinal", "domain": list(range(count)), "range": list(look)},
    }


def finite(value: Number | None) -> float | None:
    """Returns the value as a float, or None for what cannot be drawn: None, NaN and the infinities."""
    return float(value) if value is not None and math.isfinite(value) else None


def reaches_beyond(values: Iterable[float | None], bounds: tuple[Number, Number] | None) -> bool:
    """Whether a value lies outside of the axis, so that drawing it must be cut off there."""
    if bounds is None:
        return False
    return any(value is not None and not min(bounds) <= value <= max(bounds) for value in values)


def widened(values: Iterable[float | None], *, is_log: bool) -> Spec:
    """Returns the domain around values that are all the same, which by itself is an axis of no length, or nothing."""
    present = {value for value in values if value is not None}
    if len(present) != 1:
        return {}
    (value,) = present
    if is_log:
        return {"domain": [value / 2, value * 2]}
    margin = abs(value) / 2 or 1.0
    return {"domain": [value - margin, value + margin]}


def log_ticks(values: Iterable[Number | None]) -> list[float]:
    """Returns the values to label on a logarithmic axis: powers of ten, over a short range also 2 and 5 times them."""
    present = [value for value in values if value is not None]
    if not present:
        return []
    first, last = math.floor(math.log10(min(present))), math.ceil(math.log10(max(present)))
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    return [float(f"{factor}e{power}") for power in range(first, last + 1) for factor in factors]


def one_line(text: str) -> str:
    """Returns the text cleaned and on one line, for an axis."""
    return clean_text(text).replace("\n", " ").replace("\t", " ")


def legend(names: Sequence[str], swatches: Sequence[str]) -> str:
    """Returns the list of series names, each behind a small drawing of its line or bar (SVG, 26 by 12)."""
    items = "".join(
        f'<li><svg width="26" height="12" viewBox="0 0 26 12" aria-hidden="true">{swatch}</svg>'
        f'<span dir="auto">{escape(name)}</span></li>'
        for name, swatch in zip(names, swatches, strict=True)
    )
    return f'<ul class="legend">{items}</ul>\n'


def draw(spec: Spec, *, key: str, label: str) -> str:
    """Returns the drawing as an HTML element; `key` is a word that no other drawing on the page has."""
    import vl_convert

    # An empty list of allowed addresses: nothing that a specification might name is loaded.
    svg = vl_convert.vegalite_to_svg({"config": _CONFIG, **spec}, allowed_base_urls=[])
    return f'<div class="chart scroll" role="img" aria-label="{escape(label)}">{_tidy(svg, key)}</div>'


def _tidy(svg: str, key: str) -> str:
    """Drops what HTML does not need, rounds, and renames ids, which count on from drawing to drawing in a process."""
    names: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        return match[1] + names.setdefault(match[2], f"{key}-{len(names)}")

    def tidy_tag(match: re.Match[str]) -> str:
        tag = _UNUSED_ATTRIBUTES.sub("", match[0])
        if _EMPTY_PATH.fullmatch(tag):
            return ""
        tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)
        return re.sub(r'( id="|="url\(#)(clip\d+)', rename, tag)

    # Text and attribute values hold their `<` escaped, so every `<` here begins a tag.
    return re.sub(r"<[a-z][^<>]*>", tidy_tag, svg)
