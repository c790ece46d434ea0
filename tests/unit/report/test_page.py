import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count

import pytest

from seqlens.report import (
    AttentionMaps,
    BarChart,
    Bars,
    Cell,
    Examples,
    Heatmap,
    Interval,
    LineChart,
    Prose,
    Report,
    Section,
    Series,
    Table,
    render_report,
)

VOID = {"meta", "link", "br", "hr", "img", "input"}
OPTIONAL_END = {"td"}


class Page(HTMLParser):
    """Collects elements and text of a page, and fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID | OPTIONAL_END:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in OPTIONAL_END:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def sections_of(text) -> list[Section]:
    """One section of each kind; every string in them comes from calling `text`."""
    return [
        Prose(text(), f"{text()}\n\n{text()}"),
        Table(text(), [text(), text()], [[text(), Interval(0.974, 0.962, 0.985)]], note=text()),
        LineChart(text(), text(), text(), [Series(text(), [1, 2, 3], [0, 5, 9])], note=text(), y_range=(0, 6)),
        BarChart(text(), text(), text(), [text(), text()], [Bars(text(), [1, Interval(2, 1, 3)])], note=text()),
        Heatmap(text(), [text()], [text()], [[0.5]], text(), text(), text()),
        AttentionMaps(text(), [Heatmap(text(), [text()], [text()], [[1.0]], text(), text(), text())], note=text()),
        Examples(text(), [text(), text()], [[text(), Cell(text(), True)], [text(), Cell(text(), False)]], note=text()),
    ]


def report_of(text) -> Report:
    return Report(text(), f"{text()}\n\n{text()}", sections_of(text), {text(): text(), text(): text()})


_numbers = count()
NUMBERED = report_of(lambda: f"text {next(_numbers)}")


@pytest.mark.parametrize(
    "pattern",
    [
        "<script>alert({})</script>",
        "</style><img src=http://example.org/{}.png onerror=alert(1)>",
        '"\' onload="alert({})" &amp; &lt;b&gt; \\',
        "]]></svg><!-- {} ${{datum.value}} {{signal: 1}}",
        "http://example.org/{}",
        "٢٥ يونيو {}",
        "2009년 6월 25일 木 {}",
    ],
)
def test_any_text_is_shown_as_it_is_and_does_nothing(pattern):
    numbers = count(100)
    made = []

    def text() -> str:
        made.append(pattern.format(next(numbers)))
        return made[-1]

    page = Page(render_report(report_of(text)))
    shown = "\n".join(page.texts)
    assert [text for text in made if text not in shown] == []
    plain = Page(render_report(NUMBERED))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert {name for _, attributes in page.elements for name in attributes} <= {
        name for _, attributes in plain.elements for name in attributes
    } | {"class"}


def test_nothing_is_loaded_and_nothing_runs():
    source = render_report(NUMBERED)
    page = Page(source)
    assert not {tag for tag, _ in page.elements} & {
        "script",
        "iframe",
        "object",
        "embed",
        "img",
        "image",
        "base",
        "use",
    }
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background"}:
                assert value.startswith(("#", "data:"))
    assert "http:" not in source
    assert "https:" not in source
    assert "@import" not in source
    assert set(re.findall(r"url\(([^)]*)\)", source)) <= {f"#section-3-{n}" for n in range(3)}
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_ids_are_unique_and_every_reference_meets_one():
    source = render_report(Report("", "", [*sections_of(lambda: "x"), *sections_of(lambda: "y")]))
    ids = [attributes["id"] for _, attributes in Page(source).elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', source)) <= {
        pair for name in ids for pair in ((name, ""), ("", name))
    }
    assert "url(#" in source


def test_the_same_report_gives_the_same_page_whatever_was_drawn_before():
    first = render_report(NUMBERED)
    render_report(Report("", "", sections_of(lambda: "other")))
    assert render_report(NUMBERED) == first


def test_every_colour_is_defined_for_light_and_dark():
    source = render_report(NUMBERED)
    light, dark = source.split("prefers-color-scheme: dark", maxsplit=1)
    used = set(re.findall(r'(?:fill|stroke)="var\((--[a-z0-9-]+)\)', source))
    assert "--series-1" in used
    defined = re.compile(r"^\s+(--[a-z0-9-]+):", re.MULTILINE)
    assert used <= set(defined.findall(light))
    assert used <= set(defined.findall(dark))
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", source)) - {"--cell"} <= set(defined.findall(light))
    # A colour written outright would not follow the reader's scheme.
    assert not re.search(r'(?:fill|stroke)="#', source)


@pytest.mark.parametrize(("num_sections", "has_contents"), [(0, False), (3, False), (4, True)])
def test_a_longer_report_has_contents(num_sections, has_contents):
    source = render_report(Report("", "", [Prose(f"Part {n}", "") for n in range(num_sections)]))
    assert ("<nav" in source) == has_contents
    assert ('<a href="#section-1">Part 0</a>' in source) == has_contents


def test_right_and_wrong_are_marked_and_the_rest_is_not():
    examples = Examples("", ["in", "out"], [["٢٥ يونيو", Cell("a", True)], [Cell("b"), Cell("", False)]])
    source = render_report(Report("", "", [examples]))
    cells = re.findall(r"<td>(.*?)</td>", source)
    assert ["✓" in cell and 'aria-label="right"' in cell for cell in cells] == [False, True, False, False]
    assert ["✗" in cell and 'aria-label="wrong"' in cell for cell in cells] == [False, False, False, True]
    assert 'dir="auto">٢٥ يونيو</span>' in cells[0]
    # An empty answer is said, so that it is not taken for a missing cell.
    assert "(empty)" in cells[3]


def test_paragraphs_are_split_at_blank_lines_only():
    source = render_report(Report("", "", [Prose("", "one\ntwo\n \n\nthree")]))
    assert re.findall(r"<p dir=\"auto\">([^<]*)</p>", source) == ["one\ntwo", "three"]


def test_charts_carry_their_numbers_notes_and_gaps():
    chart = LineChart("t", "lag", "recall", [Series("GRU", [1, 2], [0.25, math.nan])], note="A note.")
    shown = " ".join(Page(render_report(Report("", "", [chart]))).texts)
    assert "A note." in shown
    assert "shown as gaps: 1." in shown
    assert "0.250" in shown
    assert "NaN" in shown


def test_a_heatmap_by_itself_is_titled_once():
    heatmap = Heatmap("Update gate", ["a"], ["b"], [[1.0]])
    assert render_report(Report("", "", [heatmap])).count("Update gate") == 1
    assert render_report(Report("", "", [AttentionMaps("Gates", [heatmap])])).count("Update gate") == 1


def test_facts_are_shown_in_their_order():
    report = Report("", "", [], {"seed": "1", "command": "seqlens demo dates"})
    texts = [text for text in Page(render_report(report)).texts if text.strip()]
    assert texts == ["How to repeat this", "seed", "1", "command", "seqlens demo dates"]
    assert "<footer>" not in render_report(replace(report, facts={}))


def test_empty_sections_are_said_to_be_empty():
    sections = [AttentionMaps("", []), Examples("", ["a"], []), Table("", [], []), LineChart("", "", "", [])]
    shown = " ".join(Page(render_report(Report("", "", sections))).texts)
    for words in ("No maps.", "No examples.", "No rows.", "No values to draw."):
        assert words in shown
