"""What a benchmark finds: named numbers, each with the bar it is held against, if there is one."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

FORMAT = 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number: the median of its repeats, `low` and `high` the smallest and the largest of them."""

    name: str
    value: float
    unit: str
    """`s`, `ms`, `MiB`, `%` or `×`; empty for a plain number."""
    low: float | None = None
    high: float | None = None
    bar: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def reached(self) -> bool | None:
        """Whether the value is on the good side of the bar; None without a bar."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar

    @property
    def verdict(self) -> str:
        """In a word."""
        return {None: "", True: "reached", False: "not reached"}[self.reached]

    @property
    def value_text(self) -> str:
        """The number with its unit, and the spread of its repeats."""
        spread = ""
        if self.low is not None and self.high is not None:
            spread = f" [{number_text(self.low)}, {number_text(self.high)}]"
        return f"{number_text(self.value)}{spread}{' ' if self.unit else ''}{self.unit}"

    @property
    def bar_text(self) -> str:
        """`≤ 0.2 s`."""
        if self.bar is None:
            return ""
        sign = "≤" if self.better == "lower" else "≥"
        return f"{sign} {self.bar:g}{' ' if self.unit else ''}{self.unit}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one benchmark found; `facts` say in words how it was measured and with what."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def all_reached(self) -> bool:
        """Whether no bar was missed."""
        return all(figure.reached is not False for figure in self.figures)


def number_text(value: float) -> str:
    """Three significant digits, whole numbers in full."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def print_result(result: Result, console: Console) -> None:
    """A table with a verdict for each bar, and how it was measured."""
    table = Table(title=result.title, title_justify="left", title_style="bold")
    for column in ("figure", "value", "to reach", "verdict"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for figure in result.figures:
        style = {None: "", True: "green", False: "red"}[figure.reached]
        table.add_row(figure.name, figure.value_text, figure.bar_text, Text(figure.verdict, style=style))
    console.print(table)
    for name, text in result.facts.items():
        console.print(Text(f"{name}: {text}", style="dim"))


def to_row(result: Result, origin: dict[str, Any]) -> dict[str, Any]:
    """The result as a line of rows.jsonl, with version, commit, machine and time."""
    return {
        "format": FORMAT,
        "benchmark": result.name,
        "title": result.title,
        "command": f"python -m benchmarks.speed {result.name} --write",
        "figures": [{**asdict(figure), "reached": figure.reached} for figure in result.figures],
        "facts": result.facts,
        **origin,
    }


def figure_of(fields: dict[str, Any]) -> Figure:
    """A figure out of a row."""
    return Figure(**{name: value for name, value in fields.items() if name != "reached"})
