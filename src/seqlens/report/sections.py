"""What a report is made of: plain records, filled by whoever ran the work and drawn by the other modules here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

Number: TypeAlias = int | float
Alignment: TypeAlias = Literal["left", "right", "center"]


@final
@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value with the low and high end of its interval; shown as `0.974 [0.962, 0.985]`."""

    value: Number
    low: Number
    high: Number


TableCell: TypeAlias = str | int | float | Interval | None


@final
@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs of plain text, separated by blank lines; nothing in them is read as markup."""

    title: str
    text: str


@final
@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under named columns.

    A float shows as many decimals as the largest value of its column calls for, an int has thousands separators
    (pass a year or a seed as text), None shows as a dash. Columns of numbers stand right-aligned unless `align`,
    one entry per column, says otherwise.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    note: str = ""
    align: Sequence[Alignment] | None = None

    def __post_init__(self) -> None:
        _check_row_lengths(f"table '{self.title}'", len(self.columns), self.rows)
        if self.align is not None and len(self.align) != len(self.columns):
            raise ValueError(f"table '{self.title}' has {len(self.columns)} columns, but {len(self.align)} alignments")


@final
@dataclass(frozen=True, slots=True)
class Series:
    """One line: its points in drawing order, and optionally the ends of an interval around each.

    None, NaN and the infinities leave a gap in the line.
    """

    name: str
    x: Sequence[Number | None]
    y: Sequence[Number | None]
    low: Sequence[Number | None] | None = None
    high: Sequence[Number | None] | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"series '{self.name}' has one end of its interval, but not the other")
        for name, values in (("y", self.y), ("low", self.low), ("high", self.high)):
            if values is not None and len(values) != len(self.x):
                raise ValueError(f"series '{self.name}' has {len(self.x)} values in x, but {len(values)} in {name}")


@final
@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over one pair of axes. `y_range` fixes the ends of the y axis, otherwise the values set them."""

    title: str
    x_title: str
    y_title: str
    series: Sequence[Series]
    note: str = ""
    y_range: tuple[Number, Number] | None = None
    log_x: bool = False
    log_y: bool = False

    def __post_init__(self) -> None:
        _check_range(f"line chart '{self.title}'", self.y_range)
        if self.log_y and self.y_range is not None and self.y_range[0] <= 0:
            raise ValueError(f"line chart '{self.title}' has a logarithmic axis that begins at {self.y_range[0]}")


@final
@dataclass(frozen=True, slots=True)
class Bars:
    """One colour of bars: a value per category of its chart, drawn with an error bar where it is an `Interval`."""

    name: str
    values: Sequence[int | float | Interval | None]


@final
@dataclass(frozen=True, slots=True)
class BarChart:
    """Groups of bars, one group a category, one colour a series; bars start at zero."""

    title: str
    x_title: str
    y_title: str
    categories: Sequence[str]
    series: Sequence[Bars]
    note: str = ""
    y_range: tuple[Number, Number] | None = None

    def __post_init__(self) -> None:
        _check_range(f"bar chart '{self.title}'", self.y_range)
        for bars in self.series:
            if len(bars.values) != len(self.categories):
                raise ValueError(
                    f"bar chart '{self.title}' has {len(self.categories)} categories, "
                    f"but {len(bars.values)} values for '{bars.name}'"
                )


@final
@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix as coloured cells, by itself or among `AttentionMaps`.

    `weights[row][column]`; for attention a row is a target token and a column a source token, both in the order
    the model saw them. Values within 0..1 are drawn on that scale, larger ones up to the largest, and negative
    ones bring a second colour. None, NaN and the infinities are hatched.
    """

    title: str
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    weights: Sequence[Sequence[Number | None]]
    note: str = ""
    row_title: str = "target"
    column_title: str = "source"

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.row_labels):
            raise ValueError(
                f"heatmap '{self.title}' has {len(self.row_labels)} row labels, but {len(self.weights)} rows"
            )
        _check_row_lengths(f"heatmap '{self.title}'", len(self.column_labels), self.weights)


@final
@dataclass(frozen=True, slots=True)
class AttentionMaps:
    """Several heatmaps under one heading, side by side where they fit."""

    title: str
    maps: Sequence[Heatmap]
    note: str = ""


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """A text that is marked right (True), wrong (False) or not at all (None)."""

    text: str
    good: bool | None = None


@final
@dataclass(frozen=True, slots=True)
class Examples:
    """Texts beside each other, such as input, expected and answered; each is set in its own writing direction."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    note: str = ""

    def __post_init__(self) -> None:
        _check_row_lengths(f"examples '{self.title}'", len(self.columns), self.rows)


Section: TypeAlias = Prose | Table | LineChart | BarChart | Heatmap | AttentionMaps | Examples


@final
@dataclass(frozen=True, slots=True)
class Report:
    """A page: what was done, its sections, and the facts that let somebody repeat it (seed, command, versions)."""

    title: str
    summary: str
    sections: Sequence[Section]
    facts: Mapping[str, str] = field(default_factory=dict)


def _check_row_lengths(what: str, num_columns: int, rows: Sequence[Sequence[object]]) -> None:
    for index, row in enumerate(rows):
        if len(row) != num_columns:
            raise ValueError(f"{what} has {num_columns} columns, but {len(row)} values in row {index}")


def _check_range(what: str, bounds: tuple[Number, Number] | None) -> None:
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ValueError(f"{what} has an axis from {bounds[0]} to {bounds[1]}")
