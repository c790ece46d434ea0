"""What is kept of a run's answers, so that systems can be compared afterwards: the answers, and counts by sentence.

Two files a run and split, each of at most 100 KB: `.txt.gz` with an answer a line, and `.counts.gz` with the numbers
that scores are made of (n-gram matches and lengths) and that sentences are sorted by. Nobody's data are in them, so
that a paired test, and a score by length, need no data set.

`python -m benchmarks.quality.answers` writes those that are missing and whose training is still there.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import typer
from jaxtyping import Int64

from benchmarks.command import run_command
from benchmarks.quality.scores import KEPT_SCORES
from benchmarks.rows import Row
from seqlens.cli.guard import guarded
from seqlens.cli.printing import note
from seqlens.config import write_atomically
from seqlens.errors import WorkError
from seqlens.metrics import Statistics
from seqlens.tasks.transduce.analysis.buckets import By
from seqlens.tasks.transduce.analysis.statistics import text_statistics
from seqlens.tasks.transduce.analysis.texts import source_numbers
from seqlens.tasks.transduce.analysis.training_text import Background, TrainingText
from seqlens.tasks.transduce.analysis.words import split_tokens

LARGEST_FILE = 100_000
_ROUNDING = 1e-6
"""Between a score from kept counts and the same from the answers."""


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """A run's counts on a split: for each score a row a sentence, and the numbers that sentences are sorted by."""

    scores: Mapping[str, Statistics]
    numbers: Mapping[By, Sequence[int]]
    num_sentences: int
    num_in_split: int


def file_stem(entry: str, settings: str, seed: int, split: str) -> str:
    """The name of a run's files, without ending."""
    return f"{entry}/{settings}-seed-{seed}-{split}"


def stem_of(row: Row, split: str) -> str:
    """The same, of a row."""
    return file_stem(row["entry"], row["settings"], row["seed"], split)


def keep_answers(
    folder: Path,
    stem: str,
    *,
    sources: Sequence[str],
    references: Sequence[str],
    answers: Sequence[str],
    training_sources: Sequence[str],
    fingerprint: str,
    language: str,
) -> None:
    """Writes both files; of many sentences the first ones, as many as fit."""
    lines = [answer.replace("\r", " ").replace("\n", " ") + "\n" for answer in answers]
    write_atomically(folder / f"{stem}.txt.gz", _pack(lines[: _fitting(lines)]))
    found = {score: _statistics(score, answers, references) for score in KEPT_SCORES}
    background = Background(language, TrainingText.read(training_sources))
    numbers = source_numbers([split_tokens(source) for source in sources], [background] * len(sources))
    rows = [
        " ".join(
            [str(values[row]) for values in numbers.values()]
            + [f"{value:.0f}" for one in found.values() for value in one.per_example[row]]
        )
        + "\n"
        for row in range(len(answers))
    ]
    head = {
        "format": 1,
        "fingerprint": fingerprint,
        "references": found[KEPT_SCORES[0]].references_id,
        "num_in_split": len(answers),
        "numbers": list(numbers),
        # Their columns stand in the order of `KEPT_SCORES`: the names here are sorted.
        "scores": {score: one.per_example.shape[1] for score, one in found.items()},
        "signatures": {score: one.signature for score, one in found.items()},
    }
    first = [json.dumps(head, sort_keys=True) + "\n"]
    write_atomically(folder / f"{stem}.counts.gz", _pack([*first, *rows[: _fitting([*first, *rows]) - 1]]))


def read_kept(folder: Path, stem: str) -> Kept | None:
    """What is kept of a run on a split, or None.

    Raises:
        WorkError: the file is damaged.
    """
    path = folder / f"{stem}.counts.gz"
    if not path.is_file():
        return None
    try:
        head, *lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
        facts: dict[str, Any] = json.loads(head)
        table = np.array([[int(value) for value in line.split()] for line in lines], dtype=np.int64)
        width = len(facts["numbers"])
        numbers: dict[By, list[int]] = {name: table[:, place].tolist() for place, name in enumerate(facts["numbers"])}
        scores: dict[str, Statistics] = {}
        for score in (name for name in KEPT_SCORES if name in facts["scores"]):
            size = facts["scores"][score]
            scores[score] = _restored(score, table[:, width : width + size], facts)
            width += size
        if width != table.shape[1]:
            raise ValueError(f"{table.shape[1]} numbers a line instead of {width}")
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise WorkError(f"{path} is damaged: {error}.") from error
    return Kept(scores, numbers, len(table), facts["num_in_split"])


def read_kept_of(folder: Path, row: Row, split: str) -> Kept | None:
    """What is kept of a row's answers to a split, or None.

    Raises:
        WorkError: the file is damaged, or its counts give another score than the row has.
    """
    stem = stem_of(row, split)
    kept = read_kept(folder, stem)
    if kept is None or kept.num_sentences < kept.num_in_split:
        return kept
    for score, found in row["splits"][split]["scores"].items():
        if score in kept.scores and abs(kept.scores[score].value() - found["value"]) > _ROUNDING:
            raise WorkError(
                f"{folder / stem}.counts.gz gives {score} {kept.scores[score].value():.4f}, expected "
                f"{found['value']:.4f} as in the row."
            )
    return kept


def _statistics(score: str, answers: Sequence[str], references: Sequence[str]) -> Statistics:
    name, _, case = score.rpartition("_")
    return text_statistics(name, answers, references, lowercase=case == "lowercase")  # type: ignore[arg-type]


def _restored(score: str, columns: Int64[np.ndarray, "sentences counts"], facts: Mapping[str, Any]) -> Statistics:
    empty = _statistics(score, ["a"], ["a"])
    return Statistics(
        name=empty.name,
        per_example=columns.astype(np.float64),
        score_totals=empty.score_totals,
        signature=facts["signatures"][score],
        # Not the fingerprint of the split: a system may be given more of the source than another.
        references_id=facts["references"],
        decimals=empty.decimals,
    )


def _pack(lines: Sequence[str]) -> bytes:
    # Without the time of day, equal answers are equal files.
    return gzip.compress("".join(lines).encode("utf-8"), mtime=0)


def _fitting(lines: Sequence[str]) -> int:
    """How many of the first lines fit into a file."""
    count = len(lines)
    while count > 1 and (size := len(_pack(lines[:count]))) > LARGEST_FILE:
        count = max(1, min(count - 1, int(count * LARGEST_FILE / size * 0.98)))
    return count


@guarded
def answers(
    only: Annotated[
        list[str], typer.Option("--only", metavar="PATTERN", help="An entry's name or recipe; `*` is anything.")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Answer the splits again of finished trainings whose answers were not kept, and keep them."""
    from benchmarks.provenance import QUALITY_ANSWERS, QUALITY_ROWS
    from benchmarks.quality.entry import select_entries
    from benchmarks.quality.example_work import learns_from_examples
    from benchmarks.quality.jobs import RUN_FOLDER, plan_jobs
    from benchmarks.quality.plan import PLAN
    from benchmarks.quality.queue import work_folder
    from benchmarks.quality.work import SeqlensWorker
    from benchmarks.rows import read_rows

    rows, worker = read_rows(QUALITY_ROWS), SeqlensWorker(QUALITY_ANSWERS)
    for job in plan_jobs(select_entries(PLAN, only), PLAN):
        run = job.folder(work_folder()) / RUN_FOLDER
        if not job.is_finished(rows) or not worker.is_trained(run):
            continue
        for split in job.entry.splits:
            stem = file_stem(job.entry.name, job.settings_id, job.seed, split)
            if learns_from_examples(job):
                continue  # those are kept when the row is written
            if not (QUALITY_ANSWERS / f"{stem}.counts.gz").is_file():
                worker.evaluate(job, run, split)
                note(f"{job}: the answers to {split} are kept.")


if __name__ == "__main__":
    run_command(answers)
