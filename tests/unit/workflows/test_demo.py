"""The demo, at a few steps a model: every part of it, in one process and in two."""

from pathlib import Path

import pytest

import seqlens
from seqlens.errors import RequestError
from seqlens.report import Interval
from seqlens.workflows.demo import SHOWN_ORDER, run_demo


@pytest.mark.parametrize("num_processes", [1, 2])
def test_the_demo_runs_reports_and_leaves_runs(
    num_processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    told: list[str] = []
    result = run_demo(out=tmp_path / "demo", steps=3, num_processes=num_processes, announce=told.append)
    assert tuple(contender.name for contender in result.contenders) == SHOWN_ORDER
    assert [row[0] for row in result.table.rows] == list(SHOWN_ORDER)
    for contender in result.contenders:
        assert len(contender.answers) == len(result.pairs) == 2000
        assert sum(score.num_examples for score in contender.exact_by_count.values()) == 2000
        assert contender.curve[-1][0] == 3
        loaded = seqlens.load(tmp_path / "demo" / contender.name, device="cpu")
        source = result.pairs[0][0]
        assert loaded.predict(source).text == contender.answers[0].text
    assert all(isinstance(cell, Interval) for row in result.table.rows for cell in row[1:5])
    page = result.report.read_text(encoding="utf-8")
    assert "The bottleneck" in page
    assert "Where gru-attention looks" in page
    assert "2009" in page or "19" in page
    assert any(text.startswith("Training transformer") for text in told)


def test_an_unknown_demo_and_a_foreign_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Did you mean 'dates'"):
        run_demo("date", out=tmp_path)
    (tmp_path / "gru-attention").mkdir()
    (tmp_path / "gru-attention" / "thesis.txt").write_text("years of work")
    with pytest.raises(RequestError, match="holds other files than a run"):
        run_demo(out=tmp_path, steps=1)
    assert (tmp_path / "gru-attention" / "thesis.txt").read_text() == "years of work"
