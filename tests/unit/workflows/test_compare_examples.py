"""Models of a task that learns from examples beside each other: tests on the same examples, answers in the report."""

from pathlib import Path

import pytest

from seqlens.report import Examples
from seqlens.workflows.compare import compare
from seqlens.workflows.recipes import find_recipe


def test_of_other_classes_what_can_be_compared_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    smoke = find_recipe("sentiment/smoke").path.read_text(encoding="utf-8")
    recipes = []
    for name, labels in (("two", ("good", "bad")), ("three", ("good", "bad", "odd"))):
        lines = [f"a {label} day {number}\t{label}\n" for label in labels for number in range(30)]
        (tmp_path / f"{name}.tsv").write_text("".join(lines))
        data = f"data: {{kind: labelled, path: {tmp_path / name}.tsv}}"
        kept = [line for line in smoke.splitlines() if not line.startswith("data:")]
        recipes.append(tmp_path / f"{name}.yaml")
        recipes[-1].write_text("\n".join([*kept, data]), encoding="utf-8")
    overrides = {"training.max_steps": 2, "training.validate_every": 2}
    comparison = compare(recipes, out=tmp_path / "runs", overrides=overrides, data=tmp_path / "two.tsv")
    tests = comparison.contestants[1].tests
    assert "accuracy" in tests
    assert "macro_f1" not in tests


def test_the_report_shows_answers_beside_what_was_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    smoke = find_recipe("sentiment/smoke").path.read_text(encoding="utf-8")
    other = tmp_path / "other.yaml"
    other.write_text(smoke.replace("cell: gru", "cell: lstm"), encoding="utf-8")
    overrides = {"training.max_steps": 3}
    comparison = compare(["sentiment/smoke", other], out=tmp_path / "runs", overrides=overrides)
    first, second = comparison.contestants
    assert not first.tests
    assert second.tests["accuracy"].difference == pytest.approx(
        second.scores["accuracy"].value - first.scores["accuracy"].value
    )
    (answers,) = (section for section in comparison.report.sections if isinstance(section, Examples))
    assert answers.columns[:2] == ("input", "expected")
    example = first.evaluation.examples[0]  # type: ignore[union-attr]
    assert answers.rows[0][:2] == (example.text, example.label)
    assert answers.rows[0][2:] == (str(first.evaluation.answers[0]), str(second.evaluation.answers[0]))
