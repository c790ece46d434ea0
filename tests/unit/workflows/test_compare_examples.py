"""Models of a task that learns from examples beside each other: tests on the same examples, answers in the report."""

from pathlib import Path

import pytest

from seqlens.report import Examples
from seqlens.workflows.compare import compare
from seqlens.workflows.recipes import find_recipe


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
