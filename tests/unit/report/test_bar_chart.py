import math
import re

from seqlens.report import BarChart, Bars, Interval
from seqlens.report.bar_chart import bar_chart_html, bar_chart_table

EXACT_MATCH = BarChart(
    "Exact match",
    "dates",
    "exact match",
    ["1", "2"],
    [
        Bars("GRU", [Interval(0.95, 0.93, 0.97), Interval(0.81, 0.77, 0.85)]),
        Bars("주의 GRU", [0.0, None]),
    ],
)


def texts(page: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", page)


def bars(page: str) -> list[tuple[str, str]]:
    """Outline and colour of each bar, without the swatches of the legend."""
    drawing = page[page.index('<div class="chart') :]
    return re.findall(r'<path d="([^"]*)" fill="(var\(--series-\d\))"', drawing)


def test_a_bar_and_its_value_for_each_number():
    page = bar_chart_html(EXACT_MATCH, "k")
    assert len(bars(page)) == 3
    # What was not measured is told from what is zero.
    assert sorted(set(texts(page)) & {"0.950", "0.810", "0.000", "–"}) == ["0.000", "0.810", "0.950", "–"]
    assert {"dates", "exact match", "1", "2"} <= set(texts(page))
    assert '<span dir="auto">주의 GRU</span>' in page


def test_error_bars_only_where_there_is_an_interval():
    with_intervals = bar_chart_html(EXACT_MATCH, "k").count('stroke="var(--ink)"')
    assert with_intervals == 2
    bare = BarChart("", "", "", ["1", "2"], [Bars("GRU", [0.95, Interval(0.81, math.nan, 0.85)])])
    assert 'stroke="var(--ink)"' not in bar_chart_html(bare, "k")


def test_long_names_lay_the_chart_on_its_side():
    names = [
        "한국어 (대한민국)",
        "العربية (مصر)",
        "<script>",
        'it\'s "quoted" \\',
        "English (United States of America)",
    ]
    page = bar_chart_html(BarChart("", "locale", "exact match", names, [Bars("GRU", [1, 2, 3, 4, 5])]), "k")
    shown = texts(page)
    assert [name.replace("<", "&lt;").replace(">", "&gt;") for name in names] == [
        name for name in shown if name[0] in "한ا&iE" or name.startswith("العربية")
    ]
    heights = {re.search(r"v([\d.]+)h", outline)[1] for outline, _ in bars(page) if "v" in outline}
    assert len(heights) <= 1


def test_whole_numbers_are_labelled_as_such():
    page = bar_chart_html(BarChart("", "", "pairs", ["fr", "de"], [Bars("x", [123456, 7])]), "k")
    assert {"123,456", "7"} <= set(texts(page))


def test_bars_beyond_the_colours_are_paler():
    page = bar_chart_html(BarChart("", "", "", ["a"], [Bars(str(k), [k + 1]) for k in range(7)]), "k")
    assert 'fill="var(--series-1)" opacity="0.6"' in page[page.index('<div class="chart') :]


def test_bars_beyond_a_fixed_axis_are_cut_off_and_still_drawn():
    page = bar_chart_html(BarChart("", "", "", ["a"], [Bars("x", [3.0])], y_range=(0, 1)), "k")
    assert len(bars(page)) == 1
    assert "clip-path" in page


def test_a_chart_without_values_says_so():
    for series in ([], [Bars("x", [None]), Bars("y", [math.nan])]):
        assert bar_chart_html(BarChart("", "", "", ["a"], series), "k") == '<p class="empty">No values to draw.</p>'


def test_the_numbers_are_listed_by_category():
    table = bar_chart_table(EXACT_MATCH)
    assert table.columns == ["dates", "GRU", "주의 GRU"]
    assert table.rows == [["1", Interval(0.95, 0.93, 0.97), 0.0], ["2", Interval(0.81, 0.77, 0.85), None]]
