import math
import re

from hypothesis import given
from hypothesis import strategies as st

from seqlens.report import Interval, LineChart, Series
from seqlens.report.line_chart import _visible, gaps_note, line_chart_html, line_chart_table


def chart_of(*series: Series, **options) -> LineChart:
    return LineChart("Loss", "step", "nats", series, **options)


def texts(page: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", page)


def lines(page: str) -> list[str]:
    """The outlines of the drawn lines, without those of the legend."""
    drawing = page[page.index('<div class="chart') :]
    return re.findall(r'<path d="([^"]*)" stroke="var\(--series-\d\)" stroke-width', drawing)


def test_all_text_stays_text_in_any_script():
    page = line_chart_html(LineChart("t", "단계", "الخسارة & <b>", [Series("記憶", [1, 2], [3, 4])]), "k")
    assert {"단계", "الخسارة &amp; &lt;b&gt;"} <= set(texts(page))
    assert '<span dir="auto">記憶</span>' in page
    assert "<image" not in page


def test_what_is_no_number_leaves_a_gap():
    nan, inf = math.nan, math.inf
    page = line_chart_html(chart_of(Series("a", range(9), [1, 2, nan, 3, 4, inf, None, 5, 6])), "k")
    (line,) = lines(page)
    assert line.count("M") == 3
    assert "NaN" not in page
    assert "Infinity" not in page


def test_gaps_are_counted_for_the_reader():
    chart = chart_of(Series("a", [1, 2, 3, 4], [math.nan, math.inf, None, 1]))
    assert gaps_note(chart) == "Values that are not finite numbers, shown as gaps: 2."
    chart = chart_of(Series("a", [0, 2, 3, 4], [-1.0, 0, 1, 2]), log_y=True)
    assert gaps_note(chart) == "Values of zero or below, without a place on a logarithmic axis: 2."
    assert gaps_note(chart_of(Series("a", [1], [1]))) == ""


def test_a_chart_without_values_says_so():
    for chart in (chart_of(), chart_of(Series("a", [], [])), chart_of(Series("a", [1, 2], [math.nan, None]))):
        assert line_chart_html(chart, "k") == '<p class="empty">No values to draw.</p>'


def test_an_empty_series_keeps_its_place_in_the_legend_and_the_colours():
    page = line_chart_html(chart_of(Series("none", [], []), Series("some", [1, 2], [1, 2])), "k")
    assert re.findall(r'<span dir="auto">(\w+)</span>', page) == ["none", "some"]
    drawing = page[page.index('<div class="chart') :]
    assert 'stroke="var(--series-2)"' in drawing
    assert 'stroke="var(--series-1)"' not in drawing


def test_one_point_is_drawn_and_its_axis_says_where_it_lies():
    page = line_chart_html(chart_of(Series("a", [3], [0.5])), "k")
    assert re.search(r'fill="var\(--series-1\)"[^>]*/>', page[page.index('<div class="chart') :])
    ticks = [float(text) for text in texts(page) if re.fullmatch(r"[\d.]+", text)]
    assert 0.5 in ticks
    assert 3 in ticks


def test_a_point_between_gaps_is_drawn_in_a_long_line_too():
    values: list[float | None] = [1.0] * 100
    values[49] = values[51] = None
    page = line_chart_html(chart_of(Series("a", range(100), values)), "k")
    assert page[page.index('<div class="chart') :].count('fill="var(--series-1)"') == 1


def test_a_band_is_drawn_where_both_ends_are_known():
    series = Series("a", [1, 2, 3], [1, 2, 3], low=[0.5, 1.5, None], high=[1.5, 2.5, 3.5])
    assert 'opacity="0.16"' in line_chart_html(chart_of(series), "k")
    series = Series("a", [1, 2], [1, 2], low=[None, math.nan], high=[1.5, 2.5])
    assert 'opacity="0.16"' not in line_chart_html(chart_of(series), "k")


def test_values_beyond_a_fixed_axis_are_cut_off_there():
    inside = line_chart_html(chart_of(Series("a", [1, 2], [0, 1]), y_range=(0, 1)), "k")
    beyond = line_chart_html(chart_of(Series("a", [10, 20], [0, 2]), y_range=(0, 1)), "k")
    assert "clip-path" not in inside
    assert 'clip-path="url(#k-0)"' in beyond
    assert 'id="k-0"' in beyond
    assert "1.0" in texts(inside)
    assert "2.0" not in texts(beyond)


def test_a_logarithmic_axis_labels_few_places_by_themselves():
    page = line_chart_html(chart_of(Series("a", [1, 2, 4, 8], [1, 0.1, 0.01, 0.001]), log_x=True, log_y=True), "k")
    assert {"1", "2", "4", "8", "0.1", "0.01", "0.001"} <= set(texts(page))
    page = line_chart_html(chart_of(Series("a", [1, 2], [1, 2]), log_y=True, y_range=(0.001, 100)), "k")
    assert {"0.001", "1", "100"} <= set(texts(page))


def test_lines_beyond_the_colours_differ_by_their_dashes():
    page = line_chart_html(chart_of(*(Series(str(k), [0, 1], [k, k + 1]) for k in range(12))), "k")
    drawing = page[page.index('<div class="chart') :]
    looks = re.findall(r'stroke="(var\(--series-\d\))" stroke-width="2"[^>]* stroke-dasharray="([\d,]+)"', drawing)
    assert len(looks) == len(set(looks)) == 12


@given(
    st.lists(st.one_of(st.none(), st.floats(-1e3, 1e3)), min_size=1, max_size=40),
    st.integers(1, 300),
)
def test_thinning_keeps_the_ends_the_extremes_and_the_gaps(pattern, repeats):
    ys = pattern * repeats
    kept = _visible(ys)
    assert kept == sorted(set(kept))
    assert {0, len(ys) - 1} <= set(kept)
    assert len(kept) <= 1600
    present = [y for y in ys if y is not None]
    drawn = [ys[place] for place in kept]
    assert (None in drawn) == (None in ys)
    if present:
        assert min(present) in drawn
        assert max(present) in drawn


def test_the_numbers_of_a_short_chart_are_listed_by_x():
    table = line_chart_table(
        chart_of(Series("a", [2, 1], [0.25, 0.5]), Series("b", [1, 3], [1, None], low=[0, None], high=[2, None]))
    )
    assert table is not None
    assert table.columns == ["step", "a", "b"]
    assert table.rows == [[1, 0.5, Interval(1, 0, 2)], [2, 0.25, None], [3, None, None]]


def test_the_numbers_of_a_long_chart_are_not():
    assert line_chart_table(chart_of(Series("a", range(1000), range(1000)))) is None
    assert line_chart_table(chart_of()) is None
