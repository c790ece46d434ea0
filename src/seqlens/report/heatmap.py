"""Heatmaps as HTML tables: every label is the browser's own text, every cell answers the pointer, without a script."""

import math
import unicodedata

from seqlens.report.numbers import format_number
from seqlens.report.sections import Heatmap
from seqlens.report.text import clean_text, direction, display_width, escape, is_right_to_left, is_wide, isolate

_PAGE_PIXELS = 860
_SMALLEST_CELL = 9
_LARGEST_CELL = 22
# A shorter name than its code point, for the invisible characters that dates and web text are full of.
_SHORT_NAMES = {"\u00ad": "SHY", "\u061c": "ALM", "\u200b": "ZWSP", "\u200c": "ZWNJ", "\u200d": "ZWJ"} | {
    "\u200e": "LRM",
    "\u200f": "RLM",
    "\u2060": "WJ",
    "\ufeff": "BOM",
}


def heatmap_html(heatmap: Heatmap, *, with_title: bool) -> str:
    """Returns matrix, scale and notes of a heatmap as an HTML figure, under its title if that is not said elsewhere."""
    has_title = with_title and heatmap.title
    title = f'<figcaption dir="{direction(heatmap.title)}">{escape(heatmap.title)}</figcaption>\n' if has_title else ""
    notes = "".join(f'<p class="note" dir="{direction(note)}">{escape(note)}</p>\n' for note in _notes(heatmap))
    if not heatmap.row_labels or not heatmap.column_labels:
        return f'<figure class="heatmap">{title}<p class="empty">No values to draw.</p>\n{notes}</figure>\n'
    lowest, highest = _scale(heatmap)
    columns = "".join(f'<th scope="col">{_label(label)}</th>' for label in heatmap.column_labels)
    rows = "".join(_row(heatmap, index, highest) for index in range(len(heatmap.row_labels)))
    upright = all(_fits(label) for label in heatmap.column_labels)
    cell = min(_LARGEST_CELL, max(_SMALLEST_CELL, _PAGE_PIXELS // len(heatmap.column_labels)))
    axes = ((heatmap.column_title, "→"), (heatmap.row_title, "↓"))
    corner = "".join(f'<div><span dir="auto">{escape(name)}</span> {arrow}</div>' for name, arrow in axes)
    return (
        f'<figure class="heatmap">{title}<div class="scroll">'
        f'<table class="map{"" if upright else " turned"}" style="--cell:{cell}px">\n'
        f'<thead><tr><th class="corner">{corner}</th>{columns}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>\n"
        f'<p class="scale{" two-sided" if lowest < 0 else ""}"><span>{_bound(lowest)}</span><span class="ramp"></span>'
        f"<span>{_bound(highest)}</span></p>\n{notes}</figure>\n"
    )


def _row(heatmap: Heatmap, index: int, highest: float) -> str:
    row_label = heatmap.row_labels[index]
    cells = []
    for column_label, weight in zip(heatmap.column_labels, heatmap.weights[index], strict=True):
        if weight is None or not math.isfinite(weight):
            cells.append(f'<td class="unknown" title="{_pair(row_label, column_label)}: no value">')
            continue
        share = abs(weight) / highest
        if share < 0.005:
            # Most of an attention map is next to nothing; bare cells keep the file small.
            cells.append("<td>")
            continue
        side = ' class="below"' if weight < 0 else ""
        where = f"{_pair(row_label, column_label)}: {format_number(float(weight))}"
        cells.append(f'<td{side} style="--w:{share:.2f}" title="{where}">')
    return f'<tr><th scope="row">{_label(row_label)}</th>{"".join(cells)}</tr>\n'


def _scale(heatmap: Heatmap) -> tuple[float, float]:
    """Returns the values at the two ends of the colour scale."""
    values = [weight for row in heatmap.weights for weight in row if weight is not None and math.isfinite(weight)]
    largest = max((abs(value) for value in values), default=0.0)
    lowest = min(values, default=0.0)
    if lowest < 0:
        return -float(largest), float(largest)
    return 0.0, float(largest) if largest > 1 else 1.0


def _bound(value: float) -> str:
    return f"{value:.3g}"


def _pair(row_label: str, column_label: str) -> str:
    row, column = _visible(row_label), _visible(column_label)
    if is_right_to_left(row + column):
        row, column = isolate(row), isolate(column)
    return escape(f"{row} ← {column}")


def _fits(label: str) -> bool:
    return display_width(label) <= 2


def _label(label: str) -> str:
    """Returns the label as HTML; what would be invisible is named, a lone combining mark gets a circle to sit on."""
    visible = _visible(label)
    if visible != label:
        name = ", ".join(unicodedata.name(character, f"U+{ord(character):04X}").lower() for character in label)
        small = "" if _fits(visible) else ' class="code"'
        return f'<abbr{small} title="{escape(name)}">{escape(visible)}</abbr>'
    upright = ' class="wide"' if is_wide(label) else ""
    return f'<span{upright} dir="auto">{escape(label)}</span>'


def _visible(label: str) -> str:
    if not label:
        return "∅"
    if label.isspace():
        return "␣" * len(label)
    if all(unicodedata.category(character) in ("Cf", "Zl", "Zp") for character in label):
        return " ".join(_SHORT_NAMES.get(character, f"{ord(character):04X}") for character in label)
    if unicodedata.category(label[0]) in ("Mn", "Mc", "Me"):
        return f"◌{label}"
    return clean_text(label).replace("\n", "⏎").replace("\t", "⇥")


def _notes(heatmap: Heatmap) -> list[str]:
    notes = [heatmap.note] if heatmap.note else []
    if any(is_right_to_left(label) for label in heatmap.column_labels):
        notes.append(
            "This text is written from right to left; its columns run from left to right in the order in which it "
            "is read, the first one at the left."
        )
    return notes
