import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from seqlens.report import BarChart, Bars, Interval, LineChart, Series, chart_svg, write_svg

LINES = LineChart(
    "Score <by> length",
    "words",
    "BLEU",
    [Series("붙임", [1, 2], [3.0, 4.0], low=[2, 3], high=[4, 5]), Series("&", [1, 2], [5, 6])],
)
BARS = BarChart("t", "x", "y", ["0", "1+"], [Bars("a", [Interval(1.0, 0.5, 2.0), 2.0])])


@pytest.mark.parametrize("chart", [LINES, BARS])
def test_it_is_one_document_with_title_legend_and_all_its_colours(chart):
    svg = chart_svg(chart)
    root = ET.fromstring(svg)
    shown = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert chart.title in shown
    assert {series.name for series in chart.series} <= set(shown)
    style = next(root.iter("{http://www.w3.org/2000/svg}style")).text or ""
    assert "var(" not in svg, "programs other than browsers paint variables black"
    used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', svg.replace(style, "")))
    assert len(used) >= 6
    assert {(part, colour) for part in ("fill", "stroke") for colour in used} <= set(
        re.findall(r'\[(fill|stroke)="(#[0-9a-f]{6})"\]', style.partition("dark")[2])
    ), "each has its colour in a dark scheme"
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert svg == chart_svg(chart)


def test_it_is_written_whole(tmp_path: Path):
    write_svg(LINES, tmp_path / "new" / "picture.svg")
    assert (tmp_path / "new" / "picture.svg").read_text(encoding="utf-8") == chart_svg(LINES)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.svg"]


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="no values to draw"):
        chart_svg(LineChart("t", "x", "y", [Series("a", [], [])]))
