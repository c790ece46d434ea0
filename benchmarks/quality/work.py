"""The work behind one row: train with seqlens, answer the splits, and put down all that the numbers depend on."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, final

from benchmarks.quality.jobs import Job
from seqlens.errors import WorkError


class Worker(Protocol):
    """What the queue needs done; tests put another one in its place."""

    def is_trained(self, folder: Path) -> bool:
        """Whether a training in `folder` has ended by itself."""

    def train(self, job: Job, folder: Path, needed: Path | None) -> bool:
        """Trains into `folder`, going on with what is there; False if the person at the keyboard stopped it.

        `needed` is the finished run of `job.needs`.
        """

    def describe(self, job: Job, folder: Path, needed: Path | None) -> dict[str, Any]:
        """The facts of a finished training, and of that of `job.needs`, whose run is `needed`, if it started there."""

    def evaluate(self, job: Job, folder: Path, split: str) -> dict[str, Any]:
        """Answers a split and scores the answers."""


@final
class SeqlensWorker:
    """Trains and scores as a user does: `seqlens.train(..., resume=True)`, `seqlens.evaluate`."""

    def __init__(self, answers: Path | None = None, *, processes: int = 1) -> None:
        """Takes the folder where answers are kept for comparisons (without one they are not).

        So many processes make a training; folds are trained by one.
        """
        self._answers = answers
        self._processes = processes

    def is_trained(self, folder: Path) -> bool:
        from benchmarks.quality.example_work import is_cross_validated
        from seqlens.inference import read_record

        if is_cross_validated(folder):
            return True
        # One that was stopped by hand leaves a run that can be loaded too.
        if not (folder / "run.json").is_file():
            return False
        return bool(read_record(folder)["training"]["stop_reason"] != "interrupted")

    def train(self, job: Job, folder: Path, needed: Path | None) -> bool:
        import seqlens
        from benchmarks.quality.example_work import train_folds
        from benchmarks.quality.made import MADE_FOLDER, make_data
        from seqlens.cli.printing import note
        from seqlens.cli.progress import show_training
        from seqlens.workflows.train import TrainingInterrupted

        def announce(text: str) -> None:
            note(f"{job}: {text}")

        if job.entry.folds is not None:
            return train_folds(job, folder, announce)
        made: dict[str, object] = {}
        if job.entry.made is not None:
            place = folder.parent / MADE_FOLDER
            made = make_data(job.entry.made, place, run=needed, seed=job.seed, announce=announce)
        with show_training(str(job)) as shown, suppress(TrainingInterrupted):
            seqlens.train(
                job.entry.recipe,
                out=folder,
                overrides={**job.overrides, **made},
                resume=True,
                init=None if job.entry.starts_from is None else needed,
                observer=shown,
                announce=announce,
                processes=self._processes,
            )
            return True
        return False

    def describe(self, job: Job, folder: Path, needed: Path | None) -> dict[str, Any]:
        from benchmarks.quality.example_work import describe_examples, learns_from_examples
        from benchmarks.quality.made import MADE_FOLDER, seconds_of_making
        from seqlens.config import load_config, to_plain
        from seqlens.inference import read_record
        from seqlens.training.run_config import RunConfig
        from seqlens.workflows.train import RECIPE_FILE

        if learns_from_examples(job):
            return describe_examples(folder)
        record = read_record(folder)
        config = load_config(RunConfig, folder / RECIPE_FILE)
        training, task = config.training, config.transduce
        return {
            "training": record["training"],
            "selection": {
                "split": "validation",
                "metric": training.metric,
                "mode": training.mode,
                "search": "greedy" if training.metric in task.validation_scores else None,
                "lowercase": task.lowercase_scores,
                "num_examples": task.validation_examples,
                "validate_every": training.validate_every,
                **record["weights"],
            },
            "search": {**to_plain(task.decoding), **job.entry.decoding},
            "batches": {"max_tokens": config.batches.max_tokens, "max_length": config.batches.max_length},
            "padding_waste": padding_waste(folder),
            "codec": _codec_facts(folder),
            "made": None if job.entry.made is None else str(job.entry.made),
            "made_seconds": seconds_of_making(folder.parent / MADE_FOLDER),
            "starts_from": _start_facts(job, needed),
            "parameters": record["num_parameters"],
            "data": record["data"],
            "trained_on": record["machine"],
        }

    def evaluate(self, job: Job, folder: Path, split: str) -> dict[str, Any]:
        import time

        from benchmarks.quality.answers import file_stem, keep_answers
        from benchmarks.quality.example_work import evaluate_folds, evaluate_split, learns_from_examples
        from seqlens.cli.printing import note
        from seqlens.inference import load_transducer
        from seqlens.tasks.transduce.analysis.results import score_fields
        from seqlens.workflows.evaluate import evaluate_pairs
        from seqlens.workflows.evaluation_data import run_corpus

        if job.entry.folds is not None:
            return evaluate_folds(folder)
        if learns_from_examples(job):
            return evaluate_split(job, folder, split, self._answers, lambda text: note(f"{job}: {text}"))
        predictor = load_transducer(folder)
        started = time.perf_counter()
        found = evaluate_pairs(
            predictor,
            split=split,
            decoding=job.entry.decoding,
            announce=lambda text: note(f"{job}: {text}"),
        )
        seconds = time.perf_counter() - started
        config = predictor.task.config
        texts = [answer.text for answer in found.answers]
        if self._answers is not None:
            corpus = run_corpus(predictor)
            keep_answers(
                self._answers,
                file_stem(job.entry.name, job.settings_id, job.seed, split),
                sources=found.sources,
                references=found.references,
                answers=texts,
                training_sources=[pair.source for pair in corpus.read("train")],
                fingerprint=found.fingerprint,
                language=corpus.source_name,
            )
        suffix = case_suffix(config.lowercase_scores)
        return {
            "scores": {
                **{name: score_fields(score) for name, score in found.scores.items() if name == "perplexity"},
                **both_cases(texts, found.references, config.scores),
            },
            "baselines": {
                baseline: {name + suffix: score_fields(score) for name, score in scores.items()}
                for baseline, scores in found.baseline_scores.items()
            },
            "fingerprint": found.fingerprint,
            "unfinished_answers": sum(not answer.finished for answer in found.answers),
            "seconds": round(seconds, 1),
        }


def _start_facts(job: Job, needed: Path | None) -> dict[str, Any] | None:
    """What the run was that a training started from; None if it started from nothing."""
    from seqlens.inference import read_record

    if job.entry.starts_from is None or job.needs is None or needed is None:
        return None
    return {
        "entry": job.entry.starts_from,
        "settings": job.needs.settings_id,
        "overrides": dict(job.needs.entry.overrides),
        "training": read_record(needed)["training"],
    }


def case_suffix(lowercase: bool) -> str:
    """What a score's name in a row ends with."""
    return "_lowercase" if lowercase else "_cased"


def both_cases(texts: Sequence[str], references: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Every score of the written answers, letters' case compared or not, with intervals.

    BLEU is also computed by sacrebleu itself.

    Raises:
        WorkError: the two are not equal.
    """
    from sacrebleu.metrics.bleu import BLEU

    from seqlens.tasks.transduce.analysis.results import score_fields
    from seqlens.tasks.transduce.validation import compute_score

    found = {}
    for lowercase in (True, False):
        for name in names:
            score = compute_score(name, texts, references, lowercase=lowercase)  # type: ignore[arg-type]
            if name == "bleu":
                other = BLEU(lowercase=lowercase).corpus_score(list(texts), [list(references)]).score
                if abs(other - score.value) > 1e-6:
                    raise WorkError(f"BLEU is {score.value} by seqlens and {other} by sacrebleu on the same answers.")
            found[name + case_suffix(lowercase)] = score_fields(score)
    return found


def padding_waste(folder: Path) -> float:
    """Padded positions over real ones, less 1, in the first epoch of a run's training."""
    from seqlens.config import load_config
    from seqlens.training.run_config import RunConfig
    from seqlens.workflows.preparation import prepare
    from seqlens.workflows.train import RECIPE_FILE

    config = load_config(RunConfig, folder / RECIPE_FILE)
    prepared = prepare(config, codec_folder=folder / "codec", announce=lambda text: None)
    return round(prepared.sampler.padding_waste(0), 5)


def _codec_facts(folder: Path) -> dict[str, Any]:
    from seqlens.config import to_plain
    from seqlens.inference import load_transducer

    task = load_transducer(folder, device="cpu").task
    return {
        "settings": to_plain(task.config.codec),
        "source_size": task.source_codec.size,
        "target_size": task.target_codec.size,
        "source_fingerprint": task.source_codec.fingerprint,
        "target_fingerprint": task.target_codec.fingerprint,
    }
