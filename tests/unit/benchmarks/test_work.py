"""The work behind a row, done for real on a small recipe: all that a figure needs is in it."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.quality.entry import Entry, Goal
from benchmarks.quality.jobs import plan_jobs
from benchmarks.quality.queue import run_queue
from benchmarks.quality.results import results_page
from benchmarks.quality.work import SeqlensWorker, both_cases
from benchmarks.rows import read_rows
from seqlens.training.observer import Progress

ENTRY = Entry(
    name="dates-smoke",
    title="Dates, hardly trained",
    section="Dates",
    recipe="dates/smoke",
    seeds=(3,),
    splits=("test", "validation"),
    decoding={"beam_width": 2},
    overrides={
        "training.max_seconds": 60,
        "training.max_steps": 6,
        "training.validate_every": 3,
        "data.num_train": 60,
        "data.num_test": 12,
        "data.num_validation": 12,
        "task.scores": ["bleu", "exact_match"],
        "task.lowercase_scores": True,
    },
    goals=(Goal(split="test", score="bleu_lowercase", to_reach=99.0, source="this test", max_training_minutes=1),),
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))


def test_a_training_interrupted_on_the_way_ends_in_one_whole_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, work = tmp_path / "rows.jsonl", tmp_path / "work"
    jobs = plan_jobs([ENTRY])
    origin = {"seqlens": "0", "commit": "c", "machine": {}, "time": "2026-01-02T03:04:05+00:00"}

    class Killed(BaseException):
        """Like a kill: nobody may catch it."""

    from seqlens.cli import progress

    def die(self: progress.PlainLines, now: Progress) -> None:
        if now.step == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(progress.PlainLines, "on_step", die)
        with pytest.raises(Killed):
            run_queue(jobs, rows=rows, folder=work, worker=SeqlensWorker(), describe_origin=lambda: origin)
    assert not rows.exists()
    seen: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(progress.PlainLines, "on_step", lambda self, now: seen.append(now.step))
        run_queue(jobs, rows=rows, folder=work, worker=SeqlensWorker(), describe_origin=lambda: origin)
    assert seen == [4, 5, 6]  # from the checkpoint of step 3 on
    (row,) = read_rows(rows)
    assert row["training"]["steps"] == 6
    assert row["training"]["stop_reason"] == "max_steps"
    assert len(row["sessions"]) == 2
    assert row["seed"] == 3
    assert set(row["splits"]) == {"test", "validation"}
    test = row["splits"]["test"]
    names = {"bleu_lowercase", "bleu_cased", "exact_match_lowercase", "exact_match_cased", "perplexity"}
    assert set(test["scores"]) == names
    assert "case:lc" in test["scores"]["bleu_lowercase"]["signature"]
    assert "case:mixed" in test["scores"]["bleu_cased"]["signature"]
    assert test["scores"]["bleu_cased"]["num_examples"] == 12
    assert set(test["baselines"]["copy the source"]) == {"bleu_lowercase", "exact_match_lowercase"}
    assert test["fingerprint"] != row["splits"]["validation"]["fingerprint"]
    assert row["selection"]["metric"] == "loss"
    assert row["selection"]["search"] is None
    assert row["search"]["beam_width"] == 2
    assert row["codec"]["source_size"] > 4
    assert row["parameters"] > 100
    assert 0 <= row["padding_waste"] < 1
    assert str(tmp_path) not in rows.read_text(encoding="utf-8")
    # The page can show what the work wrote.
    row["machine"] = row["trained_on"]
    page = results_page([row], [], [ENTRY])
    assert "characters (nfc)" in page
    assert "resumed once" in page
    assert "| not reached |" in page


def test_nothing_is_trained_again_for_another_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = SeqlensWorker()
    (job,) = plan_jobs([ENTRY])
    assert not worker.is_trained(tmp_path / "run")
    assert worker.train(job, tmp_path / "run", None)
    assert worker.is_trained(tmp_path / "run")
    (other,) = plan_jobs([dataclasses.replace(ENTRY, decoding={"method": "greedy"})])
    assert other.folder(tmp_path) == job.folder(tmp_path)


def test_a_training_that_starts_from_another_has_its_weights_and_tells_of_it(tmp_path: Path) -> None:
    rows, work = tmp_path / "rows.jsonl", tmp_path / "work"
    origin = {"seqlens": "0", "commit": "c", "machine": {}, "time": "2026-01-02T03:04:05+00:00"}
    first = dataclasses.replace(ENTRY, goals=())
    # Steps too small to move a weight, so that what it started from can be seen at its end.
    tiny = {**ENTRY.overrides, "training.max_steps": 1, "training.optimizer.learning_rate": 1e-12}
    then = dataclasses.replace(ENTRY, name="dates-then", overrides=tiny, starts_from=first.name)
    (job,) = plan_jobs([then], [first])
    tally = run_queue([job], rows=rows, folder=work, worker=SeqlensWorker(), describe_origin=lambda: origin)
    assert tally.done == [job]
    assert job.needs is not None
    before, after = (load_file(one.folder(work) / "run" / "model.safetensors") for one in (job.needs, job))
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    (row,) = read_rows(rows)
    assert row["training"]["steps"] == 1
    assert row["starts_from"]["entry"] == "dates-smoke"
    assert row["starts_from"]["overrides"] == ENTRY.overrides
    assert row["starts_from"]["training"]["steps"] == 6
    row["machine"] = row["trained_on"]
    row["training"]["seconds"], row["starts_from"]["training"]["seconds"] = 30.0, 36.0
    page = results_page([row], [], [then])
    assert "0.5 minutes (max_steps), from the weights of `dates-smoke` (6 steps, 1.5 epochs, 0.6 minutes)" in page
    assert "training took 1.1 of 1 minutes" in page


def test_both_cases_differ_only_where_letters_do() -> None:
    found = both_cases(["A Dog runs in the park ."], ["a dog runs in the park ."], ["bleu", "exact_match"])
    assert found["bleu_lowercase"]["value"] == pytest.approx(100)
    assert found["bleu_cased"]["value"] < 80
    assert found["exact_match_lowercase"]["value"] == 1
    assert found["exact_match_cased"]["value"] == 0
