import math
import re

from seqlens.report import Heatmap
from seqlens.report.heatmap import heatmap_html


def html_of(heatmap: Heatmap) -> str:
    return heatmap_html(heatmap, with_title=True)


def test_every_label_is_text_and_every_weight_a_cell():
    page = html_of(Heatmap("2009년 → 2009", list("09"), list("2009년"), [[0.1, 0.2, 0.3, 0.4, 0.0]] * 2))
    assert re.findall(r'<th scope="col"><span[^>]*>(.)</span></th>', page) == list("2009년")
    assert re.findall(r'<th scope="row"><span[^>]*>(.)</span></th>', page) == list("09")
    body = page[page.index("<tbody>") :]
    assert body.count("<td") == 10
    assert re.findall(r"--w:([\d.]+)", body) == ["0.10", "0.20", "0.30", "0.40"] * 2
    assert 'title="9 ← 0: 0.200"' in body


def test_the_order_is_logical_and_right_to_left_text_says_so():
    page = html_of(Heatmap("", ["a"], list("يوم"), [[0.2, 0.3, 0.5]]))
    assert re.findall(r'<th scope="col"><span[^>]*>(.)</span></th>', page) == ["ي", "و", "م"]
    assert "order in which it is read" in page
    # In a line of mixed directions each label is isolated.
    assert 'title="\u2068a\u2069 ← \u2068ي\u2069: 0.200"' in page
    assert "order in which" not in html_of(Heatmap("", ["a"], ["b"], [[1]]))


def test_what_cannot_be_seen_is_named():
    labels = [" ", "\u200f", "\u202f", "", "\u0301", "\u2066"]
    page = html_of(Heatmap("", ["a"], labels, [[0.0] * 6]))
    assert re.findall(r"<abbr[^>]*>([^<]*)</abbr>", page) == ["␣", "RLM", "␣", "∅", "◌\u0301", "2066"]
    assert 'title="right-to-left mark"' in page
    assert 'title="narrow no-break space"' in page


def test_words_are_turned_and_characters_are_not():
    assert 'class="map turned"' in html_of(Heatmap("", ["a"], ["student", "."], [[0.5, 0.5]]))
    assert 'class="map"' in html_of(Heatmap("", ["a"], ["s", "일"], [[0.5, 0.5]]))
    assert '<span class="wide" dir="auto">학생</span>' in html_of(Heatmap("", ["a"], ["학생"], [[1.0]]))


def test_the_scale_follows_the_values():
    def scale(*values):
        return re.findall(r"<span>([^<]*)</span>", html_of(Heatmap("", ["a"], ["b"] * len(values), [values])))

    assert scale(0.2, 0.6) == ["0", "1"]
    assert scale(2.5, 0.5) == ["0", "2.5"]
    assert scale(-0.25, 0.125) == ["-0.25", "0.25"]
    assert scale(None, math.nan) == ["0", "1"]


def test_negative_and_missing_values_look_different():
    page = html_of(Heatmap("", ["a"], list("bcde"), [[-0.5, None, math.nan, math.inf]]))
    assert page.count('<td class="below" style="--w:1.00"') == 1
    assert page.count('<td class="unknown"') == 3


def test_texts_are_escaped_in_labels_titles_and_hints():
    page = html_of(Heatmap("<b>", ["<i>"], ['"><script>'], [[1.0]], note="<u>", row_title="<s>", column_title="<p>"))
    assert not re.search(r"<(b|i|script|u|s)>", page)
    assert 'title="&lt;i&gt; ← &quot;&gt;&lt;script&gt;: 1.000"' in page


def test_an_empty_heatmap_says_so():
    assert "No values to draw." in html_of(Heatmap("t", [], [], []))
    assert "No values to draw." in html_of(Heatmap("t", ["a"], [], [[]]))


def test_a_wide_heatmap_has_smaller_cells_down_to_a_limit():
    def cell(columns):
        return int(re.search(r"--cell:(\d+)px", html_of(Heatmap("", ["a"], ["b"] * columns, [[0.0] * columns])))[1])

    assert cell(10) > cell(60) > cell(1000) >= 8
