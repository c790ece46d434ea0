"""`seqlens learning-curve`: a row a part and system, a report with the curve."""

from pathlib import Path

import pytest

from seqlens.workflows.learning_curve import _folder_name
from seqlens.workflows.recipes import find_recipe
from tests.unit.cli.conftest import Invoke


def test_a_table_and_a_report_come_out(invoke: Invoke, tmp_path: Path) -> None:
    arguments = ("learning-curve", "sentiment/smoke", "--out", "curve", "--set", "training.max_steps=3")
    result = invoke(*arguments, "--fractions", "0.2,1")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if line.strip().startswith(("0.2", "1 "))]
    assert [row[:2] for row in rows if row[2] == "this"] == [["0.2", "60"], ["1", "300"]]
    assert sum(row[2] != "this" for row in rows) == 2 * (len(rows) // 2 - 1)
    page = (tmp_path / "curve" / "report.html").read_text(encoding="utf-8")
    assert "training opinions" in page
    other = invoke(*arguments, "--fractions", "0.2,1", "--set", "seed=2")
    assert other.exit_code == 2
    assert "was trained with another 'seed'" in other.stderr


def test_wrong_fractions_are_told(invoke: Invoke) -> None:
    for fractions, sentence in (
        ("a,b", "--fractions is 'a,b', expected numbers such as 0.1,0.3,1."),
        ("0.5,0.5", "The fractions are 0.5, 0.5, expected different numbers above 0 and at most 1."),
        ("2", "expected different numbers above 0"),
    ):
        result = invoke("learning-curve", "sentiment/smoke", "--fractions", fractions)
        assert result.exit_code == 2
        assert sentence in result.stderr


@pytest.mark.parametrize("recipe", ["dates/smoke", "sentiment/smoke"])
@pytest.mark.parametrize("command", ["learning-curve", "compare"])
def test_a_split_that_is_not_there_is_told_before_anything_trains(command: str, recipe: str, invoke: Invoke) -> None:
    names = [recipe]
    if command == "compare":
        other = Path("other.yaml")
        other.write_text(find_recipe(recipe).path.read_text(encoding="utf-8"), encoding="utf-8")
        names = [recipe, str(other)]
    result = invoke(command, *names, "--split", "tset")
    assert result.exit_code == 2, result.output
    assert "Did you mean 'test'?" in result.stderr
    assert not Path("runs").exists()


def test_each_fraction_has_a_folder_of_its_own() -> None:
    fractions = (0.1, 0.3333333, 0.33333333, 1e-7, 1.0)
    names = [_folder_name(fraction) for fraction in fractions]
    assert names == ["fraction-0.1", "fraction-0.3333333", "fraction-0.33333333", "fraction-1e-07", "fraction-1"]
