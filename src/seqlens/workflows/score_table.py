"""Scores as a table."""

from collections.abc import Mapping

from seqlens.metrics import Score
from seqlens.report import Interval, Table


def scores_table(
    system: str, scores: Mapping[str, Score], baseline_scores: Mapping[str, Mapping[str, Score]], title: str
) -> Table:
    """A system's scores above those of the baselines, with what each was computed by below."""
    systems = {system: scores, **baseline_scores}
    rows = [
        (name, *(_interval(measured[key]) if key in measured else None for key in scores))
        for name, measured in systems.items()
    ]
    signatures = "\n".join(f"{score.name}: {score.signature}" for score in scores.values())
    return Table(title, ("", *(score.name for score in scores.values())), rows, note=signatures)


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)
