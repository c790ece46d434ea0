"""How much more training data would help: one recipe, trained on nested parts of its training data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from seqlens.config import write_json
from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor, describe_machine
from seqlens.metrics import Score
from seqlens.report import Interval, LineChart, Report, Section, Series, Table, write_report
from seqlens.report.sections import TableCell
from seqlens.tasks.transduce.analysis.results import score_fields
from seqlens.training.observer import Observer
from seqlens.workflows import series as trainings
from seqlens.workflows.baseline_names import common_names
from seqlens.workflows.evaluate import evaluate_pairs
from seqlens.workflows.evaluate_examples import ExampleEvaluation, evaluate_examples
from seqlens.workflows.evaluation_files import Evaluation
from seqlens.workflows.open_data import check_split
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipe_config import Changes, join_changes

SUMMARY_FILE = "learning-curve.json"


@final
@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a part of the training data led to, of the model and of the baselines, which learn from the same part."""

    fraction: float
    num_train: int
    scores: dict[str, Score]
    baseline_scores: dict[str, dict[str, Score]]
    seconds: float


@final
@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The points from the smallest part to the largest, the table and the chart of them, where the report is."""

    points: tuple[CurvePoint, ...]
    table: Table
    chart: LineChart
    report: Path


def learning_curve(
    recipe: str | Path,
    fractions: Sequence[float],
    *,
    out: str | Path | None = None,
    split: str = "test",
    overrides: Changes = (),
    device: str = "auto",
    announce: Announce | None = None,
    observe: Callable[[str], Observer | None] | None = None,
) -> LearningCurve:
    """Trains a recipe on parts of its training data; validation and test are always the same.

    Args:
        recipe: a recipe's name or file, for pairs or for examples.
        fractions: above 0 and at most 1. The seed of the recipe chooses what is in a part; a smaller one lies in a
            larger one.
        out: where the runs and the report go, `runs/learning-curve/<recipe>` by default; runs that are there are not
            trained again.
        split: what is scored.
        overrides: settings that differ from the recipe's.
        announce: told, a sentence each, of what happens; `observe` makes an observer of training for a part's name.

    Raises:
        RequestError: a fraction is not one, or `out` holds runs with other settings.
        KeyboardInterrupt: a training was interrupted; called again, it goes on.
    """
    announce = announce or (lambda text: None)
    if not fractions or len(set(fractions)) < len(fractions) or not all(0 < fraction <= 1 for fraction in fractions):
        written = ", ".join(f"{fraction:g}" for fraction in fractions) or "none"
        raise RequestError(f"The fractions are {written}, expected different numbers above 0 and at most 1.")
    runs = trainings.Series(recipe, overrides, device, announce, observe or (lambda label: None))
    check_split(runs.config(), split)
    name = Path(recipe).stem if str(recipe).endswith((".yaml", ".yml")) else str(recipe)
    folder = Path(out) if out is not None else Path("runs") / "learning-curve" / name
    found = [_measure(runs, folder / _folder_name(one), one, split) for one in sorted(fractions)]
    points = [point for point, _ in found]
    evaluation = found[0][1]
    noun = evaluation.noun if isinstance(evaluation, ExampleEvaluation) else ("pair", "pairs")
    title = f"{evaluation.data}, split {split}, by the number of training {noun[1]}"
    table, chart = _table(points, noun, title), _chart(points, noun, title)
    command = f"seqlens learning-curve {recipe} --fractions {','.join(f'{one.fraction:g}' for one in points)}"
    write_json(folder / SUMMARY_FILE, [_fields(point) for point in points])
    write_report(_report(name, points, [chart, table], command), folder / "report.html")
    return LearningCurve(tuple(points), table, chart, folder / "report.html")


def _folder_name(fraction: float) -> str:
    """Another for each fraction; the same for 1 and 1.0."""
    return "fraction-" + str(fraction).removesuffix(".0")


def _measure(
    runs: trainings.Series, place: Path, fraction: float, split: str
) -> tuple[CurvePoint, Evaluation | ExampleEvaluation]:
    """Trains on a part of the data, and scores."""
    label = f"{fraction:.3g} of the data"
    predictor = runs.run(place, join_changes(runs.overrides, {"train_fraction": fraction}), label)
    found: Evaluation | ExampleEvaluation
    if isinstance(predictor, ExamplePredictor):
        found = evaluate_examples(predictor, split=split)
    else:
        found = evaluate_pairs(predictor, split=split)
    runs.announce(f"{label}: {next(iter(found.scores.values()))}.")
    record = predictor.record
    seconds, size = record["training"]["seconds"], record["data"]["num_train"]
    return CurvePoint(fraction, size, found.scores, found.baseline_scores, seconds), found


def _report(name: str, points: Sequence[CurvePoint], sections: Sequence[Section], command: str) -> Report:
    machine = describe_machine()
    facts = {
        "command": command,
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"torch {machine['torch']}, Python {machine['python']}",
    }
    summary = (
        f"One recipe, trained on {len(points)} nested parts of its training data; each model, and each baseline beside "
        "it, saw that part only."
    )
    return Report(f"Learning curve of {name}", summary, sections, facts)


def _table(points: Sequence[CurvePoint], noun: tuple[str, str], title: str) -> Table:
    rows: list[list[TableCell]] = []
    first = points[0]
    for point in points:
        systems = {"this model": point.scores, **point.baseline_scores}
        for system, scores in systems.items():
            own = system == "this model"
            rows.append(
                [
                    f"{point.fraction:g}",
                    point.num_train,
                    system,
                    *(_interval(scores[name]) if name in scores else None for name in first.scores),
                    round(point.seconds) if own else None,
                ]
            )
    columns = (
        "fraction",
        f"training {noun[1]}",
        "",
        *(score.name for score in first.scores.values()),
        "training seconds",
    )
    return Table(title, columns, rows, note="95 % bootstrap intervals over the scored split.")


def _chart(points: Sequence[CurvePoint], noun: tuple[str, str], title: str) -> LineChart:
    """The first score against the number of training examples, of the model and of each baseline."""
    name, score = next(iter(points[0].scores.items()))
    systems = {"this model": [point.scores for point in points]}
    baselines = [list(point.baseline_scores.values()) for point in points]
    for place, baseline in enumerate(common_names([list(point.baseline_scores) for point in points])):
        systems[baseline] = [scores[place] if place < len(scores) else {} for scores in baselines]
    sizes = [point.num_train for point in points]
    series = []
    for system, found in systems.items():
        scores = [one.get(name) for one in found]
        if any(one is not None for one in scores):
            series.append(
                Series(
                    system,
                    sizes,
                    [None if one is None else one.value for one in scores],
                    [None if one is None else one.low for one in scores],
                    [None if one is None else one.high for one in scores],
                )
            )
    return LineChart(title, f"training {noun[1]}", score.name, series, log_x=len(points) > 1)


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)


def _fields(point: CurvePoint) -> dict[str, Any]:
    return {
        "fraction": point.fraction,
        "num_train": point.num_train,
        "scores": {name: score_fields(score) for name, score in point.scores.items()},
        "baselines": {
            baseline: {name: score_fields(score) for name, score in scores.items()}
            for baseline, scores in point.baseline_scores.items()
        },
        "training_seconds": point.seconds,
    }
