"""Scores as a table."""

from seqlens.report import Table
from seqlens.workflows import score_table
from seqlens.workflows.evaluate_examples import ExampleEvaluation
from seqlens.workflows.evaluation_files import Evaluation


def scores_table(evaluation: Evaluation | ExampleEvaluation) -> Table:
    """The run's scores above those of the baselines."""
    title = f"{evaluation.data}, split {evaluation.split}, {evaluation.size}"
    who = evaluation.answered_by if isinstance(evaluation, Evaluation) else str(evaluation.run)
    return score_table.scores_table(who, evaluation.scores, evaluation.baseline_scores, title)
