"""The work behind a row of a task that learns from examples: `describe` and `evaluate` of the worker, and folds."""

import csv
import gzip
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.quality.jobs import Job
from seqlens.config import write_atomically

FOLDS_SPLIT = "folds"
"""What the split of an entry with folds is called: all held-out examples."""
LARGEST_FILE = 100_000


def learns_from_examples(job: Job) -> bool:
    """Whether an entry's recipe is one for examples and not for pairs of texts."""
    from seqlens.workflows.recipe_config import resolve_recipe

    return not resolve_recipe(job.entry.recipe, dict(job.entry.overrides))[1].learns_from_pairs


def is_cross_validated(folder: Path) -> bool:
    """Whether all folds in a folder are trained and scored."""
    from seqlens.workflows.cross_validate import SUMMARY_FILE

    return (folder / SUMMARY_FILE).is_file()


def train_folds(job: Job, folder: Path, announce: Callable[[str], None]) -> bool:
    """Trains all folds of an entry; False if the person at the keyboard stopped it."""
    from seqlens.cli.progress import show_trainings
    from seqlens.workflows.cross_validate import cross_validate

    assert job.entry.folds is not None
    try:
        with show_trainings() as observe:
            cross_validate(
                job.entry.recipe,
                out=folder,
                folds=job.entry.folds,
                repeats=job.entry.repeats,
                overrides=job.overrides,
                announce=announce,
                observe=lambda label: observe(f"{job} {label}"),
            )
    except KeyboardInterrupt:
        return False
    return True


def describe_examples(folder: Path) -> dict[str, Any]:
    """The facts of a finished training, or of the first fold of several."""
    from seqlens.config import load_config, read_json
    from seqlens.inference import load, read_record
    from seqlens.inference.example_predictor import ExamplePredictor
    from seqlens.training.run_config import RunConfig
    from seqlens.workflows.claim import RECIPE_FILE
    from seqlens.workflows.cross_validate import SUMMARY_FILE

    folds = is_cross_validated(folder)
    run = folder / "fold-0" if folds else folder
    record = read_record(run)
    config = load_config(RunConfig, run / RECIPE_FILE)
    predictor = load(run, device="cpu")
    assert isinstance(predictor, ExamplePredictor)
    training = dict(record["training"])
    if folds:
        training["seconds"] = read_json(folder / SUMMARY_FILE)["training_seconds"]
    return {
        "task": record["kind"],
        "described": predictor.task.describe(),
        "training": training,
        "selection": {
            "split": "validation",
            "metric": config.training.metric,
            "mode": config.training.mode,
            "validate_every": config.training.validate_every,
            **record["weights"],
        },
        "batches": {"max_tokens": config.batches.max_tokens, "max_length": config.batches.max_length},
        "parameters": record["num_parameters"],
        "data": record["data"],
        "trained_on": record["machine"],
    }


def evaluate_folds(folder: Path) -> dict[str, Any]:
    """The scores over all held-out examples, as the cross-validation wrote them."""
    from seqlens.config import read_json
    from seqlens.workflows.cross_validate import SUMMARY_FILE

    found = read_json(folder / SUMMARY_FILE)
    return {
        "scores": found["scores"],
        "measures": list(found["by_fold"]),
        "baselines": found["baselines"],
        "tests": found["tests"],
        "by_fold": found["by_fold"],
        "folds": found["folds"],
        "repeats": found["repeats"],
        "seconds": 0.0,
    }


def evaluate_split(
    job: Job, folder: Path, split: str, answers: Path | None, announce: Callable[[str], None]
) -> dict[str, Any]:
    """Answers a split, scores the answers, and keeps what is the model's own of the prediction files."""
    import time

    from benchmarks.quality.answers import file_stem
    from seqlens.inference import load
    from seqlens.inference.example_predictor import ExamplePredictor
    from seqlens.metrics import paired_bootstrap
    from seqlens.workflows.cross_validate import measured_fields
    from seqlens.workflows.evaluate_examples import evaluate_examples

    predictor = load(folder)
    assert isinstance(predictor, ExamplePredictor)
    started = time.perf_counter()
    found = evaluate_examples(predictor, split=split, announce=announce)
    seconds = time.perf_counter() - started
    kept: dict[str, str] = {}
    if answers is not None:
        files = predictor.task.prediction_files(found.examples, found.answers)
        kept = keep_files(answers, file_stem(job.entry.name, job.settings_id, job.seed, split), files)
    first = next(iter(found.statistics))
    tests = {
        baseline: paired_bootstrap(found.statistics[first], measures[first])
        for baseline, measures in found.baseline_statistics.items()
        if first in measures
    }
    return {
        "scores": {name: measured_fields(score) for name, score in found.scores.items()},
        "measures": list(found.scores),
        "baselines": {
            baseline: {name: measured_fields(score) for name, score in scores.items()}
            for baseline, scores in found.baseline_scores.items()
        },
        "tests": {
            baseline: {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p_value}
            for baseline, test in tests.items()
        },
        "fingerprint": found.fingerprint,
        "predictions": kept,
        "seconds": round(seconds, 1),
    }


def keep_files(folder: Path, stem: str, files: Mapping[str, str]) -> dict[str, str]:
    """Writes what is left of prediction files without anybody's texts, gzipped; says of each what became of it."""
    told = {}
    for name, content in files.items():
        own = without_texts(name, content)
        if own is None:
            told[name] = "not kept: it holds texts of the data set"
            continue
        packed = gzip.compress(own.encode(), mtime=0)
        if len(packed) > LARGEST_FILE:
            told[name] = f"not kept: {len(packed):,} bytes"
            continue
        write_atomically(folder / f"{stem}-{name}.gz", packed)
        told[name] = "kept"
    return told


def without_texts(name: str, content: str) -> str | None:
    """A prediction file without the texts of the data set, from which scores can still be computed; None if none is
    left.
    """
    match name:
        case "predictions.tsv":
            table = list(csv.reader(io.StringIO(content), delimiter="\t"))
            width = table[0].index("text")
            return "".join("\t".join(row[:width]) + "\n" for row in table)
        case "predictions.conll":
            lines = (line.split("\t" if "\t" in line else " ") for line in content.splitlines())
            return "".join(" ".join(cells[1:]) + "\n" for cells in lines)
        case "predictions.bed":
            return content
        case _:
            return None
