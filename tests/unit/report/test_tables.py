import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from seqlens.report import Interval, Table, markdown_table, render_terminal_table
from seqlens.report.tables import html_table

SCORES = Table(
    "Scores",
    ["model", "exact match", "parameters", "seconds"],
    [
        ["gru_attention", Interval(0.974, 0.962, 0.985), 180345, 74.1],
        ["a|b *c* <i> [d](e)", Interval(0.844, 0.821, 0.866), 9, None],
    ],
    note="Brackets: 95% interval.",
)


def test_markdown():
    assert markdown_table(SCORES) == (
        "| model                   |          exact match | parameters | seconds |\n"
        "| :---------------------- | -------------------: | ---------: | ------: |\n"
        "| gru_attention           | 0.974 [0.962, 0.985] |    180,345 |   74.10 |\n"
        "| a\\|b \\*c\\* \\<i> \\[d](e) | 0.844 [0.821, 0.866] |          9 |       – |\n"
        "\nBrackets: 95% interval.\n"
    )


def test_markdown_of_an_empty_table_is_its_head():
    assert markdown_table(Table("", ["a", "b"], [])) == "| a   | b   |\n| :-- | :-- |\n"


@given(st.lists(st.text(st.characters()), min_size=2, max_size=2))
def test_no_text_breaks_out_of_its_markdown_cell(row):
    lines = markdown_table(Table("", ["a", "b"], [row])).removesuffix("\n").split("\n")
    assert len(lines) == 3
    without_escapes = re.sub(r"\\.", "", lines[2])
    assert without_escapes.count("|") == 3
    assert "<" not in without_escapes.replace("<br>", "")


def test_html_sets_numbers_right_and_texts_by_their_own_direction():
    page = html_table(SCORES)
    assert '<td class="right" dir="auto">0.974 [0.962, 0.985]</td>' in page
    assert '<td class="right" dir="auto">–</td>' in page
    assert '<td class="left" dir="auto">a|b *c* &lt;i&gt; [d](e)</td>' in page
    assert '<th scope="col" class="right" dir="auto">parameters</th>' in page


def test_the_caller_may_choose_the_alignment():
    table = Table("", ["a", "b"], [["x", 1]], align=["center", "left"])
    assert '<td class="center" dir="auto">x</td><td class="left" dir="auto">1</td>' in html_table(table)
    assert markdown_table(table).split("\n")[1] == "| :-: | :-- |"


def test_html_says_that_a_table_is_empty():
    assert '<td class="empty" colspan="2">No rows.</td>' in html_table(Table("", ["a", "b"], []))


@pytest.mark.parametrize("title", ["Scores", ""])
def test_the_terminal_shows_the_same_texts_and_reads_none_as_markup(title):
    console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(
            render_terminal_table(Table(title, ["[red]name"], [["[bold]x\x1b[2J"], [Interval(0.974, 0.962, 0.985)]]))
        )
    text = capture.get()
    assert "[red]name" in text
    assert "[bold]x\N{REPLACEMENT CHARACTER}[2J" in text
    assert "0.974 [0.962, 0.985]" in text
    assert title in text
    assert "\x1b" not in text
