"""The queue: what is finished is not run again, what was killed goes on, what fails holds up nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import pytest

from benchmarks.provenance import REPOSITORY
from benchmarks.quality.entry import Entry
from benchmarks.quality.jobs import Job
from benchmarks.quality.queue import Tally, list_jobs, run_queue
from benchmarks.rows import append_row, read_rows
from benchmarks.speed.process import child_environment
from seqlens.errors import RequestError

STEPS = 4


def make_jobs(*seeds: int, splits: tuple[str, ...] = ("test", "test_2017"), settings: str = "s") -> list[Job]:
    entry = Entry(name="entry", title="T", section="S", recipe="r", seeds=seeds, splits=splits)
    return [Job(entry, seed, "t", settings) for seed in seeds]


@final
class FakeWorker:
    """Trains in steps, each with a checkpoint, and keeps a log of all it did; `on` is called before each deed."""

    def __init__(self, log: Path, on: Callable[[str], None] = lambda deed: None) -> None:
        self.log = log
        self.on = on

    @property
    def deeds(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").split("\n")[:-1] if self.log.exists() else []

    def _do(self, deed: str) -> None:
        self.on(deed)
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(f"{deed}\n")

    def is_trained(self, folder: Path) -> bool:
        return (folder / "done").exists()

    def train(self, job: Job, folder: Path, needed: Path | None) -> bool:
        folder.mkdir(exist_ok=True)
        checkpoint = folder / "checkpoint"
        first = int(checkpoint.read_text(encoding="utf-8")) if checkpoint.exists() else 0
        for step in range(first, STEPS):
            self._do(f"seed {job.seed} step {step}")
            checkpoint.write_text(str(step + 1), encoding="utf-8")
        (folder / "done").touch()
        return True

    def describe(self, job: Job, folder: Path, needed: Path | None) -> dict[str, Any]:
        return {"steps": int((folder / "checkpoint").read_text(encoding="utf-8"))}

    def evaluate(self, job: Job, folder: Path, split: str) -> dict[str, Any]:
        self._do(f"seed {job.seed} {split}")
        return {"scores": {"bleu": job.seed}}


def run(jobs: list[Job], folder: Path, on: Callable[[str], None] = lambda deed: None) -> tuple[Tally, list[str]]:
    worker = FakeWorker(folder / "log", on)
    told: list[str] = []
    tally = run_queue(
        jobs,
        rows=folder / "rows.jsonl",
        folder=folder / "work",
        worker=worker,
        describe_origin=lambda: {"commit": "c", "time": "now"},
        announce=told.append,
    )
    return tally, told


def deeds(folder: Path) -> list[str]:
    return FakeWorker(folder / "log").deeds


def all_deeds(seed: int) -> list[str]:
    return [*(f"seed {seed} step {step}" for step in range(STEPS)), f"seed {seed} test", f"seed {seed} test_2017"]


def test_every_job_gets_one_row_and_a_second_queue_has_nothing_to_do(tmp_path: Path) -> None:
    jobs = make_jobs(1, 2)
    tally, _ = run(jobs, tmp_path)
    assert tally.done == jobs
    assert deeds(tmp_path) == all_deeds(1) + all_deeds(2)
    rows = read_rows(tmp_path / "rows.jsonl")
    assert [(row["entry"], row["seed"], row["settings"], row["steps"]) for row in rows] == [
        ("entry", 1, "s", STEPS),
        ("entry", 2, "s", STEPS),
    ]
    assert rows[0]["splits"] == {"test": {"scores": {"bleu": 1}}, "test_2017": {"scores": {"bleu": 1}}}
    again, _ = run(jobs, tmp_path)
    assert again.had_rows == jobs
    assert len(deeds(tmp_path)) == 2 * len(all_deeds(1))
    assert len(read_rows(tmp_path / "rows.jsonl")) == 2


# What a killed queue runs: this file's worker, which kills its own process before one of its deeds.
_KILLED = """
import importlib.util, os, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("queue_test", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
def on(deed):
    if deed == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
module.run(module.make_jobs(1), Path(sys.argv[2]), on)
"""


@pytest.mark.parametrize("moment", ["seed 1 step 0", "seed 1 step 2", "seed 1 test", "seed 1 test_2017"])
def test_a_killed_queue_goes_on_where_it_was(tmp_path: Path, moment: str) -> None:
    command = [sys.executable, "-c", _KILLED, __file__, str(tmp_path), moment]
    done = subprocess.run(command, cwd=REPOSITORY, env=child_environment(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert read_rows(tmp_path / "rows.jsonl") == []
    before = deeds(tmp_path)
    tally, _ = run(make_jobs(1), tmp_path)
    assert tally.done == make_jobs(1)
    steps = [deed for deed in deeds(tmp_path) if "step" in deed]
    assert steps == all_deeds(1)[:STEPS]  # none is done twice, none is left out
    assert deeds(tmp_path)[len(before) :][-2:] == ["seed 1 test", "seed 1 test_2017"]
    (row,) = read_rows(tmp_path / "rows.jsonl")
    # The training was begun once or twice, by when it was killed; a row tells.
    assert len(row["sessions"]) == (2 if "step" in moment else 1)


def test_what_a_training_needs_is_trained_before_it_and_once(tmp_path: Path) -> None:
    (needed,) = make_jobs(1, splits=("test",))
    entry = Entry(name="other", title="T", section="S", recipe="r", seeds=(1,), splits=("test",))
    stopped: list[str] = []

    def on(deed: str) -> None:
        if deed == "seed 1 step 3" and not stopped:
            stopped.append(deed)
            raise RequestError("Stopped on the way.")

    job = Job(entry, 1, "t2", "s", needed)
    tally, _ = run([job], tmp_path, on)
    assert tally.failed == [job]
    assert not (job.folder(tmp_path / "work") / "run").exists()
    tally, _ = run([job, needed], tmp_path, on)
    assert tally.done == [job, needed]
    # Three steps, the fourth when it went on, those of the job itself; then the row of what was needed.
    steps = [f"seed 1 step {step}" for step in range(STEPS)]
    assert deeds(tmp_path) == [*steps, *steps, "seed 1 test", "seed 1 test"]


def test_a_run_that_another_queue_is_making_is_not_made_twice(tmp_path: Path) -> None:
    (needed,) = make_jobs(1)
    entry = Entry(name="other", title="T", section="S", recipe="r", seeds=(1,), splits=("test",))
    inner: list[Tally] = []

    def on(deed: str) -> None:
        if deed == "seed 1 step 1" and not inner:
            inner.append(run([Job(entry, 1, "t2", "s", needed)], tmp_path)[0])

    outer, _ = run([needed], tmp_path, on)
    assert (len(inner[0].failed), len(outer.done)) == (1, 1)


def test_two_queues_do_not_run_one_job_at_a_time(tmp_path: Path) -> None:
    jobs = make_jobs(1, 2)
    inner: list[Tally] = []

    def on(deed: str) -> None:
        if deed == "seed 1 step 1":  # while the outer queue holds seed 1
            tally, told = run(jobs, tmp_path)
            inner.append(tally)
            assert told[0] == "entry seed 1: another queue is at work on it."

    outer, _ = run(jobs, tmp_path, on)
    assert (inner[0].elsewhere, inner[0].done) == ([jobs[0]], [jobs[1]])
    assert (outer.done, outer.had_rows) == ([jobs[0]], [jobs[1]])
    assert sorted(row["seed"] for row in read_rows(tmp_path / "rows.jsonl")) == [1, 2]
    assert sorted(deeds(tmp_path)) == sorted(all_deeds(1) + all_deeds(2))


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    lock = make_jobs(1)[0].folder(tmp_path / "work") / "lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("1\n", encoding="utf-8")  # left by a queue that is gone
    tally, _ = run(make_jobs(1), tmp_path)
    assert tally.done == make_jobs(1)
    assert lock.read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_a_row_that_appeared_meanwhile_is_not_doubled(tmp_path: Path) -> None:
    row = {"entry": "entry", "seed": 1, "settings": "s", "splits": {"test": {}, "test_2017": {}}}

    def on(deed: str) -> None:
        if deed == "seed 1 test_2017":  # such as by a queue with another work folder
            append_row(tmp_path / "rows.jsonl", row)

    run(make_jobs(1), tmp_path, on)
    assert read_rows(tmp_path / "rows.jsonl") == [row]


def test_a_failure_is_told_and_the_next_job_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def on(deed: str) -> None:
        if deed == "seed 1 step 1":
            raise RequestError("There is no data.")
        if deed == "seed 2 test":
            raise ZeroDivisionError("a bug")

    tally, _ = run(make_jobs(1, 2, 3), tmp_path, on)
    assert [job.seed for job in tally.failed] == [1, 2]
    assert [job.seed for job in tally.done] == [3]
    assert [row["seed"] for row in read_rows(tmp_path / "rows.jsonl")] == [3]
    shown = capsys.readouterr().err
    assert "entry seed 1: There is no data." in shown
    assert "Traceback" in shown
    assert "ZeroDivisionError: a bug" in shown


def test_a_training_stopped_by_hand_ends_the_queue_without_a_row(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(FakeWorker, "train", lambda self, job, folder, needed: False)
    tally, _ = run(make_jobs(1, 2), tmp_path)
    assert tally.interrupted == make_jobs(1, 2)[0]
    assert (tally.done, tally.failed) == ([], [])
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_new_split_costs_no_new_training(tmp_path: Path) -> None:
    run(make_jobs(1, splits=("test",)), tmp_path)
    trained = len(deeds(tmp_path))
    tally, _ = run(make_jobs(1), tmp_path)
    assert len(tally.done) == 1
    assert deeds(tmp_path)[trained:] == ["seed 1 test", "seed 1 test_2017"]


def test_other_settings_are_another_job(tmp_path: Path) -> None:
    run(make_jobs(1), tmp_path)
    tally, _ = run(make_jobs(1, settings="other"), tmp_path)
    assert len(tally.done) == 1
    assert [row["settings"] for row in read_rows(tmp_path / "rows.jsonl")] == ["s", "other"]


def test_the_list_says_where_each_job_stands(tmp_path: Path) -> None:
    run(make_jobs(1), tmp_path)
    jobs = make_jobs(1, 2, 3)
    (jobs[1].folder(tmp_path / "work") / "run").mkdir(parents=True)
    lines = list_jobs(jobs, read_rows(tmp_path / "rows.jsonl"), tmp_path / "work")
    assert [line.split()[-1] for line in lines] == ["finished", "begun", "open"]
