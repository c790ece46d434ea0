"""What an analysis found, as plain records."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from seqlens.metrics import Score
from seqlens.tasks.transduce.analysis.attribution import Attribution
from seqlens.tasks.transduce.analysis.buckets import Bucket, By
from seqlens.tasks.transduce.analysis.errors import ErrorName


@final
@dataclass(frozen=True, slots=True)
class ScoredBucket:
    """A bucket's scores by name, each with its interval over the bucket's sentences."""

    bucket: Bucket
    scores: Mapping[str, Score]


@final
@dataclass(frozen=True, slots=True)
class Grouping:
    """All sentences sorted into buckets by `by`; `unit` says what is counted."""

    by: By
    title: str
    unit: str
    note: str
    buckets: tuple[ScoredBucket, ...]


@final
@dataclass(frozen=True, slots=True)
class ErrorExample:
    """A sentence with an error, and what was found in it."""

    row: int
    source: str
    reference: str
    answer: str
    detail: str
    severity: float


@final
@dataclass(frozen=True, slots=True)
class ErrorRow:
    """How many answers have an error of a kind. `share` is None, and `method` says why, where it was not measured."""

    name: ErrorName
    definition: str
    method: str
    count: int
    share: Score | None
    rows: tuple[int, ...]
    worst: tuple[ErrorExample, ...]


@final
@dataclass(frozen=True, slots=True)
class Analysis:
    """Scores by kinds of sentences, the error table, and search or model error (by both measures, where known)."""

    num_sentences: int
    language: str
    overall: Mapping[str, Score]
    groupings: tuple[Grouping, ...]
    errors: tuple[ErrorRow, ...]
    attribution: tuple[Attribution, ...]
    notes: tuple[str, ...]

    def grouping(self, by: By) -> Grouping:
        """The grouping by that; KeyError where it was not made."""
        for grouping in self.groupings:
            if grouping.by == by:
                return grouping
        raise KeyError(by)

    def error(self, name: ErrorName) -> ErrorRow:
        """The row of an error."""
        return next(row for row in self.errors if row.name == name)

    def to_plain(self) -> dict[str, Any]:
        """The analysis as JSON can hold it."""
        return {
            "format": 1,
            "num_sentences": self.num_sentences,
            "language": self.language,
            "overall": _scores(self.overall),
            "groupings": {grouping.by: _grouping(grouping) for grouping in self.groupings},
            "errors": {row.name: _error(row) for row in self.errors},
            "attribution": {attribution.measure: _attribution(attribution) for attribution in self.attribution},
            "notes": list(self.notes),
        }


def score_fields(score: Score) -> dict[str, Any]:
    """A score as JSON can hold it: what is infinite, as the perplexity of a hopeless model, is null."""
    return {
        **{
            name: value if math.isfinite(value) else None
            for name, value in (("value", score.value), ("low", score.low), ("high", score.high))
        },
        "signature": score.signature,
        "num_examples": score.num_examples,
    }


def _scores(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {name: score_fields(score) for name, score in scores.items()}


def _grouping(grouping: Grouping) -> dict[str, Any]:
    buckets = [
        {
            "label": scored.bucket.label,
            "low": scored.bucket.low,
            "high": scored.bucket.high,
            "mean": scored.bucket.mean,
            "num_sentences": len(scored.bucket.rows),
            "rows": list(scored.bucket.rows),
            "scores": _scores(scored.scores),
        }
        for scored in grouping.buckets
    ]
    return {"title": grouping.title, "unit": grouping.unit, "note": grouping.note, "buckets": buckets}


def _error(row: ErrorRow) -> dict[str, Any]:
    worst = [
        {
            "row": example.row,
            "source": example.source,
            "reference": example.reference,
            "answer": example.answer,
            "detail": example.detail,
            "severity": example.severity,
        }
        for example in row.worst
    ]
    return {
        "definition": row.definition,
        "method": row.method,
        "count": row.count,
        "share": None if row.share is None else score_fields(row.share),
        "rows": list(row.rows),
        "worst": worst,
    }


def _attribution(attribution: Attribution) -> dict[str, Any]:
    return {
        "num_compared": attribution.num_compared,
        "same": list(attribution.same),
        "search": list(attribution.search),
        "model": list(attribution.model),
        "left_out": list(attribution.left_out),
    }
