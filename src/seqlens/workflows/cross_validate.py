"""k-fold cross-validation: every example is held out once, and the scores are of all of them together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, final

from seqlens.config import write_json
from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor, read_record
from seqlens.inference.checks import check_at_least_one
from seqlens.metrics import PairedResult, Score, Statistics, mean_of_systems, paired_bootstrap, pool_parts
from seqlens.tasks.transduce.analysis.results import score_fields
from seqlens.training.observer import Observer
from seqlens.workflows.baseline_names import common_names
from seqlens.workflows.evaluate_examples import ExampleEvaluation, evaluate_examples
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipe_config import Changes, join_changes
from seqlens.workflows.series import Series

SUMMARY_FILE = "cross-validation.json"
_FOLDABLE = ("labelled", "dna_windows", "spans")
"""The kinds of data that have a field `fold`."""

Measures = dict[str, Statistics]


@final
@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Scores over all held-out examples, of the model and of the baselines; the model's in each fold, repeat by repeat.

    `tests` compare the model with each baseline by the first measure. With several repeats a score is the mean over
    them, and its interval is still over examples.
    """

    data: str
    noun: tuple[str, str]
    num_folds: int
    num_repeats: int
    scores: dict[str, Score]
    by_fold: dict[str, tuple[float, ...]]
    baseline_scores: dict[str, dict[str, Score]]
    tests: dict[str, PairedResult]
    seconds: float
    folder: Path

    @property
    def num_examples(self) -> int:
        """How many were held out, each once in a repeat."""
        return next(iter(self.scores.values())).num_examples


def cross_validate(
    recipe: str | Path,
    *,
    out: str | Path | None = None,
    folds: int | None = None,
    repeats: int = 1,
    overrides: Changes = (),
    device: str = "auto",
    announce: Announce | None = None,
    observe: Callable[[str], Observer | None] | None = None,
) -> CrossValidation:
    """Trains a recipe once for each fold and scores all held-out examples together.

    Args:
        recipe: a recipe's name or file, whose data can be cut into folds.
        out: where the runs go, `runs/cross-validation/<recipe>` by default; those that are there are not trained again.
        folds: how many, by default what the data's own `num_folds` says; of each run one is its test split, and
            validation takes its share of the others. Splits that the data have themselves are left out, but train.
        repeats: how often, with other folds each time.
        overrides: settings that differ from the recipe's.
        announce: told, a sentence each, of what happens.
        observe: makes an observer of training for a fold's name.

    Raises:
        RequestError: the data cannot be cut into folds, `out` holds runs with other settings, or `repeats` is below 1.
        KeyboardInterrupt: a training was interrupted; called again, it goes on.
    """
    check_at_least_one(repeats=repeats)
    announce = announce or (lambda text: None)
    series = Series(recipe, overrides, device, announce, observe or (lambda label: None))
    config = series.config()
    if config.data.kind not in _FOLDABLE:
        raise RequestError(
            f"Data of kind '{config.data.kind}' cannot be cut into folds, expected {', '.join(_FOLDABLE)}."
        )
    data: Any = config.data
    folds, first_seed = folds or data.num_folds, data.fold_seed
    name = Path(recipe).stem if str(recipe).endswith((".yaml", ".yml")) else str(recipe)
    folder = Path(out) if out is not None else Path("runs") / "cross-validation" / name
    repeated = []
    for repeat in range(repeats):
        named = "" if repeats == 1 else f"repeat {repeat}, "
        place = folder if repeat == 0 else folder / f"repeat-{repeat}"
        shared = {"data.num_folds": folds, "data.fold_seed": first_seed + repeat}
        repeated.append(
            [
                _hold_out(series, place / f"fold-{fold}", {"data.fold": fold, **shared}, f"{named}fold {fold}")
                for fold in range(folds)
            ]
        )
    result = _pool(repeated, folder)
    write_json(folder / SUMMARY_FILE, summary_fields(result))
    return result


def _hold_out(series: Series, place: Path, changes: Mapping[str, object], label: str) -> ExampleEvaluation:
    """Trains without one fold, and scores that."""
    run = series.run(place, join_changes(series.overrides, changes), label)
    assert isinstance(run, ExamplePredictor)
    found = evaluate_examples(run)
    series.announce(f"{label}: {next(iter(found.scores.values()))} on {found.size}.")
    return found


def summary_fields(result: CrossValidation) -> dict[str, Any]:
    """The result as JSON can hold it."""
    return {
        "data": result.data,
        "folds": result.num_folds,
        "repeats": result.num_repeats,
        "examples": result.num_examples,
        "scores": {name: measured_fields(score) for name, score in result.scores.items()},
        "by_fold": {name: list(values) for name, values in result.by_fold.items()},
        "baselines": {
            baseline: {name: measured_fields(score) for name, score in scores.items()}
            for baseline, scores in result.baseline_scores.items()
        },
        "tests": {
            baseline: {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p_value}
            for baseline, test in result.tests.items()
        },
        "training_seconds": round(result.seconds, 1),
    }


def measured_fields(score: Score) -> dict[str, Any]:
    """A score with what it is called and how it is shown."""
    return {**score_fields(score), "name": score.name, "decimals": score.decimals}


def _pool(repeated: Sequence[Sequence[ExampleEvaluation]], folder: Path) -> CrossValidation:
    orders = [_common_order(evaluations) for evaluations in repeated]
    model = _over_repeats([[one.statistics for one in evaluations] for evaluations in repeated], orders)
    flat = [one for evaluations in repeated for one in evaluations]
    names = common_names([list(one.baseline_statistics) for one in flat])
    baselines = {
        name: _over_repeats([[_baseline(one, place) for one in part] for part in repeated], orders)
        for place, name in enumerate(names)
    }
    first = next(iter(model))
    return CrossValidation(
        data=flat[0].data,
        noun=flat[0].noun,
        num_folds=len(repeated[0]),
        num_repeats=len(repeated),
        scores={name: measure.score() for name, measure in model.items()},
        by_fold={name: tuple(one.scores[name].value for one in flat) for name in model},
        baseline_scores={
            baseline: {name: measure.score() for name, measure in measures.items()}
            for baseline, measures in baselines.items()
            if measures
        },
        tests={
            baseline: paired_bootstrap(model[first], measures[first])
            for baseline, measures in baselines.items()
            if first in measures
        },
        seconds=sum(read_record(one.run)["training"]["seconds"] for one in flat),
        folder=folder,
    )


def _common_order(evaluations: Sequence[ExampleEvaluation]) -> list[int]:
    """What puts the pooled examples into an order that is the same for all repeats, whichever folds they are in."""
    examples = [repr(example) for one in evaluations for example in one.examples]
    return sorted(range(len(examples)), key=examples.__getitem__)


def _over_repeats(repeated: Sequence[Sequence[Measures]], orders: Sequence[Sequence[int]]) -> Measures:
    """The measures that all folds have in the same form: pooled over folds, and the mean over repeats."""
    found = {}
    for name in repeated[0][0]:
        parts = [[measures.get(name) for measures in folds] for folds in repeated]
        flat = [part for folds in parts for part in folds]
        forms = {None if part is None else (part.signature, part.per_example.shape[1]) for part in flat}
        # A fold whose training has another set of labels has other counts, which cannot be added to the others'.
        if None in forms or len(forms) > 1:
            continue
        pooled = [pool_parts([part for part in folds if part is not None]) for folds in parts]
        found[name] = mean_of_systems([one.select(order) for one, order in zip(pooled, orders, strict=True)])
    return found


def _baseline(evaluation: ExampleEvaluation, place: int) -> Measures:
    """The measures of a baseline by its place in the list; none where the list is shorter."""
    found = list(evaluation.baseline_statistics.values())
    return found[place] if place < len(found) else {}


def mean_over_folds(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, smallest, largest."""
    return fmean(values), min(values), max(values)
