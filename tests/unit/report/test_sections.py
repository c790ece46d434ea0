import pytest

from seqlens.report import BarChart, Bars, Examples, Heatmap, LineChart, Series, Table


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Table("t", ["a", "b"], [["1", 2], ["3"]]), "table 't' has 2 columns, but 1 values in row 1"),
        (lambda: Table("t", ["a", "b"], [], align=["left"]), "2 columns, but 1 alignments"),
        (lambda: Series("s", [1, 2], [1]), "series 's' has 2 values in x, but 1 in y"),
        (lambda: Series("s", [1], [1], low=[0]), "one end of its interval"),
        (lambda: Series("s", [1], [1], low=[0], high=[1, 2]), "but 2 in high"),
        (lambda: BarChart("b", "", "", ["x"], [Bars("m", [1, 2])]), "1 categories, but 2 values for 'm'"),
        (lambda: BarChart("b", "", "", [], [], y_range=(1, 1)), "axis from 1 to 1"),
        (lambda: LineChart("l", "", "", [], y_range=(0, 1), log_y=True), "logarithmic axis that begins at 0"),
        (lambda: Heatmap("h", ["r"], ["c"], [[1.0, 2.0]]), "heatmap 'h' has 1 columns, but 2 values in row 0"),
        (lambda: Heatmap("h", ["r", "s"], ["c"], [[1.0]]), "2 row labels, but 1 rows"),
        (lambda: Examples("e", ["a"], [["x", "y"]]), "examples 'e' has 1 columns, but 2 values in row 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()
