"""Scores as a table."""

from seqlens.metrics import Score
from seqlens.report import Interval, Table
from seqlens.workflows.evaluate import Evaluation
from seqlens.workflows.evaluate_examples import ExampleEvaluation


def scores_table(evaluation: Evaluation | ExampleEvaluation) -> Table:
    """The run's scores above those of the baselines."""
    names = list(evaluation.scores)
    systems = {str(evaluation.run): evaluation.scores, **evaluation.baseline_scores}
    rows = [
        (system, *(_interval(scores[name]) if name in scores else None for name in names))
        for system, scores in systems.items()
    ]
    signatures = "\n".join(f"{score.name}: {score.signature}" for score in evaluation.scores.values())
    title = f"{evaluation.data}, split {evaluation.split}, {evaluation.size}"
    return Table(title, ("", *(evaluation.scores[name].name for name in names)), rows, note=signatures)


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)
