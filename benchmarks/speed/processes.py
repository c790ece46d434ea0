"""What training by several processes gains on one machine over one process with as many threads."""

import json
import math
import os
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.process import run_python
from seqlens.errors import WorkError

RECIPE = "translation/transformer"
REPEATS = 3
STEPS = 60
QUICK_STEPS = 4
LARGEST_DIFFERENCE = 0.01
# Nothing is dropped, so that both trainings are the same one; one validation, at the end.
SETTINGS = ("task.model.encoder.dropout_p=0", "task.model.decoder.dropout_p=0", "task.validation_scores=[]")
ENDING = ("training.validate_every=100000", "training.metric=loss", "training.mode=min", "training.patience=null")
# Needs no download.
QUICK_DATA = (
    "data={kind: pronouns, num_train: 300, num_validation: 20, num_test: 20}",
    "task.codec.text.vocab_size=300",
)


def measure(*, quick: bool) -> Result:
    """Trains in turn; data comes from where SEQLENS_MIRROR says, or else is downloaded."""
    count = 2 if quick else max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    steps, repeats = (QUICK_STEPS, 1) if quick else (STEPS, REPEATS)
    paces: dict[int, list[float]] = {1: [], count: []}
    losses: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(repeats):
            for processes, found in paces.items():
                folder = Path(scratch) / f"{processes}-{repeat}"
                folder.mkdir()
                pace, losses[processes] = train(folder, processes, steps, threads=count, quick=quick)
                found.append(pace)
    difference = abs(losses[count] / losses[1] - 1)
    if not difference <= LARGEST_DIFFERENCE or not math.isfinite(difference):
        raise WorkError(f"The loss after {steps} steps is {losses[count]} and {losses[1]}: not the same training.")
    ratios = [many / one for many, one in zip(paces[count], paces[1], strict=True)]
    figures = (
        Figure(
            name=f"pace of {count} processes over that of one with {count} threads",
            value=median(ratios),
            low=min(ratios),
            high=max(ratios),
            unit="×",
            better="higher",
        ),
        *(
            Figure(
                name=f"target tokens/s, {processes} {'process' if processes == 1 else 'processes'}",
                value=median(found),
                low=min(found),
                high=max(found),
                unit="",
                better="higher",
            )
            for processes, found in paces.items()
        ),
    )
    facts = {
        "how": f"`seqlens train {RECIPE} --processes N` for {steps} steps with nothing dropped, {repeats} times in "
        f"turn, validation and start left out; OMP_NUM_THREADS={count} for one process, the same shared out for more",
        "the same training": f"losses after {steps} steps differ by {difference:.1e} of them, "
        f"asserted ≤ {LARGEST_DIFFERENCE:g}",
    }
    return Result(name="processes", title="Training by several processes", figures=figures, facts=facts)


def train(folder: Path, processes: int, steps: int, *, threads: int, quick: bool) -> tuple[float, float]:
    """The pace, in target tokens a second, and the last loss of a training in a process of its own."""
    settings = (*SETTINGS, *ENDING, f"training.max_steps={steps}", f"training.log_every={steps}")
    arguments = [argument for setting in (*settings, *(QUICK_DATA if quick else ())) for argument in ("--set", setting)]
    command = ("-m", "seqlens", "train", RECIPE, "--out", "run", "--processes", str(processes), "--device", "cpu")
    run_python((*command, *arguments), folder=folder, environment={"OMP_NUM_THREADS": str(threads)})
    last = [json.loads((folder / "run" / name).read_text().splitlines()[0]) for name in ("times.jsonl", "log.jsonl")]
    return float(last[0]["tokens_per_second"]), float(last[1]["loss"])
