"""Tables, batches, shades and bars as text."""

import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from seqlens.cli import printing
from seqlens.cli.batches import batch_lines
from seqlens.cli.printing import print_error, print_table
from seqlens.cli.views import BAR_WIDTH, SHADES, bar, gradients_lines, shaded, shown
from seqlens.inspection import GradientThroughTime
from seqlens.report import Interval, Report, Table
from seqlens.report.text import display_width
from seqlens.workflows.inspect import GradientsView
from seqlens.workflows.show import ShownBatch, ShownSide

TABLE = Table(
    "A title",
    ("model", *(f"measure {number}" for number in range(5)), "what it is"),
    [(f"runs/{name}", *(Interval(12.3, 11.2, 13.4) for _ in range(5)), "two words") for name in ("a", "b")],
    note="A note.",
)


def on_terminal(table: Table, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(printing, "results", lambda: Console(file=stream, force_terminal=True, width=width))
    print_table(table)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()) + capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 80, 100, 130, 170, 250])
def test_no_number_is_cut_however_narrow_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = on_terminal(TABLE, width, monkeypatch, capsys)
    assert max(map(display_width, drawn.splitlines())) <= width
    assert drawn.count("12.30") == drawn.count("[11.20, 13.40]") == 10
    assert drawn.count("runs/a") == drawn.count("runs/b") == 1
    assert "…" not in drawn
    for text in ("A title", "A note.", "measure 4", "what it is"):
        assert text in drawn


def test_a_row_is_a_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "[" in line] == ["runs/a", "runs/b"]
    assert all(line == line.rstrip() for line in lines)


def test_nothing_in_a_text_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table("", ("name",), [("[red]a[/red] :smile: \x1b[31m",)]))
    print_error("[bold]no[/bold]\nsecond")
    captured = capsys.readouterr()
    assert "[red]a[/red] :smile: \N{REPLACEMENT CHARACTER}[31m" in captured.out
    assert captured.err == "error: [bold]no[/bold]\nerror: second\n"


def side(tokens: list[str], *, padding: int) -> ShownSide:
    length = len(tokens)
    return ShownSide(
        name="de",
        text=" ".join(tokens),
        tokens=(*tokens, "<end>", *["<pad>"] * padding),
        ids=(*range(4, 4 + length), 3, *[0] * padding),
        mask=(*[True] * (length + 1), *[False] * padding),
    )


@given(
    st.lists(st.text("ab한字é\u0301", min_size=1, max_size=12), max_size=60),
    st.integers(0, 30),
    st.integers(20, 200),
)
def test_tokens_stand_above_their_ids_whatever_the_script(tokens: list[str], padding: int, width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlens.cli.batches._PIPE_WIDTH", width)
        one = side(tokens, padding=padding)
        lines = list(batch_lines(ShownBatch("c", "train", "words", ((one, one),))))
    rows = [line for line in lines if line.startswith(("    tokens  ", "    ids     ", "    mask    "))]
    assert len(rows) % 3 == 0
    drawn = []
    for place in range(0, len(rows) // 2, 3):  # the other half is the other side
        starts = [column_starts(row[12:]) for row in rows[place : place + 3]]
        assert starts[0] == starts[1] == starts[2]
        assert len(starts[0]) == 1 or display_width(rows[place].rstrip()) <= width
        drawn += rows[place][12:].split()
    kept = drawn if drawn[-1] != "..." else drawn[:-1]
    assert tuple(kept) == one.tokens[: len(kept)]
    assert len(kept) >= len(tokens) + 1 + min(padding, 6)


def column_starts(row: str) -> list[int]:
    """Where on the screen each cell of a row begins."""
    starts, place, inside = [], 0, False
    for character in row:
        if character != " " and not inside:
            starts.append(place)
        inside = character != " "
        place += display_width(character)
    return starts


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(1, 2))
def test_shades_rise_with_the_values(values: list[float], cell: int) -> None:
    drawn = shaded(values, max(values), cell)
    assert len(drawn) == cell * len(values)
    steps = [SHADES.index(sign) for sign in drawn[::cell]]
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [steps[place] for place in order] == sorted(steps)


def test_bars_have_the_length_of_their_share() -> None:
    assert bar(1.0) == "█" * BAR_WIDTH
    assert bar(0.0) == ""
    assert bar(0.5) == "█" * (BAR_WIDTH // 2)
    assert bar(1 / (8 * BAR_WIDTH)) == "▏"


def test_a_token_is_short_and_on_one_line() -> None:
    assert shown("a\nb\tc") == "a↵b→c"
    assert len(shown("x" * 50)) == 16


def test_what_is_not_finite_is_drawn_too() -> None:
    assert bar(math.nan) == bar(math.inf) == "not finite"
    assert shaded([0.0, math.nan, math.inf, 1.0], 1.0, 2) == f"{SHADES[0] * 2}????{SHADES[-1] * 2}"
    gradients = GradientThroughTime((1.0, math.inf, math.nan, 0.5), (1, 1, 1, 1))
    view = GradientsView(1, gradients, None, Report("T", "S", [], {}))
    lines = [line.split() for line in gradients_lines(view)]
    assert [line[-1] for line in lines if line[:1] in (["0"], ["1"], ["2"], ["3"])] == [
        *("█" * BAR_WIDTH, "finite", "finite", "█" * (BAR_WIDTH // 2))
    ]
