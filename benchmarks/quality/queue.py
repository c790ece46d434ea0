"""`python -m benchmarks.quality.queue`: runs what the plan asks for and no row has yet, one training after the other.

A training that was interrupted, by Ctrl-C or a kill at any moment, goes on where its newest checkpoint ends. A row is
written when all splits are scored, and not before.
"""

import fcntl
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command import run_command
from benchmarks.provenance import QUALITY_ANSWERS, QUALITY_ROWS, REPOSITORY, git_commit, provenance
from benchmarks.quality.comparison_plan import COMPARISONS
from benchmarks.quality.entry import check_plan, select_entries
from benchmarks.quality.jobs import RUN_FOLDER, Job, plan_jobs
from benchmarks.quality.plan import PLAN, TABLES
from benchmarks.quality.work import SeqlensWorker, Worker
from benchmarks.rows import Row, append_row, read_rows
from seqlens.cli.guard import INTERRUPTED, guarded
from seqlens.cli.printing import note, print_error, print_lines
from seqlens.errors import SeqlensError, WorkError

SESSIONS_FILE = "sessions.jsonl"
LOCK_FILE = "lock"


@dataclass(slots=True)
class Tally:
    """What became of the jobs."""

    done: list[Job] = field(default_factory=list)
    had_rows: list[Job] = field(default_factory=list)
    elsewhere: list[Job] = field(default_factory=list)
    """Held by another queue."""
    failed: list[Job] = field(default_factory=list)
    interrupted: Job | None = None


def run_queue(
    jobs: Sequence[Job],
    *,
    rows: Path,
    folder: Path,
    worker: Worker,
    describe_origin: Callable[[], dict[str, Any]],
    announce: Callable[[str], None] = note,
) -> Tally:
    """Runs every job that has no row in `rows`; one that fails is told and does not hold up the others.

    Args:
        jobs: what is to be run, in order.
        rows: the file of results.
        folder: where trainings keep their files; it may be deleted when their rows are written.
        worker: does the work.
        describe_origin: version, commit, machine and time of a training's start and of a row.
        announce: told, a sentence each, of what happens.
    """
    tally = Tally()
    for job in jobs:
        if job.is_finished(read_rows(rows)):
            tally.had_rows.append(job)
            continue
        with _lock(job.folder(folder)) as is_ours:
            if not is_ours:
                announce(f"{job}: another queue is at work on it.")
                tally.elsewhere.append(job)
            elif job.is_finished(read_rows(rows)):  # by another queue, between the look above and the lock
                tally.had_rows.append(job)
            elif not _try_job(job, rows, folder, worker, describe_origin, announce, tally):
                return tally
    return tally


def _try_job(
    job: Job,
    rows: Path,
    folder: Path,
    worker: Worker,
    describe_origin: Callable[[], dict[str, Any]],
    announce: Callable[[str], None],
    tally: Tally,
) -> bool:
    """Runs a job; False if the person at the keyboard stopped it."""
    try:
        row = _run_job(job, folder, worker, describe_origin)
        if row is None:
            tally.interrupted = job
            return False
        if append_row(rows, row, unless=job.is_finished):
            announce(f"{job}: done.")
        tally.done.append(job)
    except SeqlensError as error:
        print_error(f"{job}: {error}")
        tally.failed.append(job)
    except Exception:
        # A night of trainings must not end at the first bug; it is printed in full, and the exit code tells.
        traceback.print_exc()
        tally.failed.append(job)
    return True


def _run_job(job: Job, folder: Path, worker: Worker, describe_origin: Callable[[], dict[str, Any]]) -> Row | None:
    """Trains and scores one job; None if it was stopped by hand."""
    job_folder = job.folder(folder)
    sessions = job_folder / SESSIONS_FILE
    if not _train(job, folder, worker, describe_origin):
        return None
    splits = {split: worker.evaluate(job, job_folder / RUN_FOLDER, split) for split in job.entry.splits}
    return {
        "format": 1,
        "entry": job.entry.name,
        "recipe": job.entry.recipe,
        "overrides": dict(job.entry.overrides),
        "seed": job.seed,
        "settings": job.settings_id,
        "command": job.entry.command,
        "splits": splits,
        **worker.describe(job, job_folder / RUN_FOLDER, job.needed_run(folder)),
        "sessions": [{"commit": session["commit"], "time": session["time"]} for session in read_rows(sessions)],
        **describe_origin(),
    }


def _train(job: Job, folder: Path, worker: Worker, describe_origin: Callable[[], dict[str, Any]]) -> bool:
    """Trains a job that is not trained yet, and before it the one that it needs; False if it was stopped by hand.

    Raises:
        WorkError: another queue is at work on the training that is needed.
    """
    job_folder = job.folder(folder)
    if worker.is_trained(job_folder / RUN_FOLDER):
        return True
    if job.needs is not None:
        with _lock(job.needs.folder(folder)) as is_ours:
            if not is_ours:
                raise WorkError(f"The run of {job.needs} is needed first, and another queue is at work on it.")
            if not _train(job.needs, folder, worker, describe_origin):
                return False
    append_row(job_folder / SESSIONS_FILE, describe_origin())
    return worker.train(job, job_folder / RUN_FOLDER, job.needed_run(folder))


@contextmanager
def _lock(job_folder: Path) -> Iterator[bool]:
    """Holds a job, or says that another process does. The lock ends with its process, however that ends."""
    job_folder.mkdir(parents=True, exist_ok=True)
    with open(job_folder / LOCK_FILE, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield True


def work_folder() -> Path:
    """Where trainings are kept: the folder SEQLENS_BENCH_FOLDER names, or one in the user's cache."""
    from seqlens.data.download import cache_folder

    chosen = os.environ.get("SEQLENS_BENCH_FOLDER")
    return Path(chosen) if chosen else cache_folder() / "benchmarks"


def list_jobs(jobs: Sequence[Job], rows: Sequence[Row], folder: Path) -> list[str]:
    """A line a job: what it is and where it stands."""
    lines = []
    for job in jobs:
        if job.is_finished(rows):
            state = "finished"
        elif (job.folder(folder) / RUN_FOLDER).is_dir():
            state = "begun"
        elif any(row["entry"] == job.entry.name and row["seed"] == job.seed for row in rows):
            state = "open (the row there has other settings or fewer splits)"
        else:
            state = "open"
        lines.append(f"{job.entry.name:<40} seed {job.seed:<4} {job.entry.recipe:<32} {state}")
    return lines


@guarded
def queue(
    only: Annotated[
        list[str], typer.Option("--only", metavar="PATTERN", help="An entry's name or recipe; `*` is anything.")
    ] = [],  # noqa: B006 - typer copies it
    processes: Annotated[
        int, typer.Option("--processes", min=1, metavar="N", help="How many make a training; it is the same training.")
    ] = 1,
    show: Annotated[bool, typer.Option("--list", help="List what there is and where it stands, and stop.")] = False,
) -> None:
    """Run the trainings of benchmarks/quality/plan.py that have no row yet.

    Rows go to benchmarks/quality/rows.jsonl, answers to benchmarks/quality/predictions. Trainings are kept in the
    folder that SEQLENS_BENCH_FOLDER names, or in the user's cache; one that was interrupted goes on. Every row is one
    seed; docs/results.md is made from all of them by `make docs`.
    """
    check_plan(PLAN, COMPARISONS, TABLES)
    jobs = plan_jobs(select_entries(PLAN, only), PLAN)
    folder = work_folder()
    if show:
        print_lines(list_jobs(jobs, read_rows(QUALITY_ROWS), folder))
        return
    commit = git_commit(REPOSITORY)
    tally = run_queue(
        jobs,
        rows=QUALITY_ROWS,
        folder=folder,
        worker=SeqlensWorker(QUALITY_ANSWERS, processes=processes),
        describe_origin=lambda: provenance(commit),
    )
    note(
        f"{len(tally.done)} done, {len(tally.had_rows)} had their rows, {len(tally.elsewhere)} are run by another "
        f"queue, {len(tally.failed)} failed."
    )
    if tally.interrupted is not None:
        note(f"{tally.interrupted} was interrupted; the same command goes on with it.")
        raise typer.Exit(INTERRUPTED)
    if tally.failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(queue)
