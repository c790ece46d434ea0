"""Evaluation beside the score: by kinds of sentences, by kinds of errors, by whose fault an error is."""

from seqlens.tasks.transduce.analysis.attribution import Attribution, Searched
from seqlens.tasks.transduce.analysis.buckets import Bucket, By
from seqlens.tasks.transduce.analysis.results import Analysis, ErrorExample, ErrorRow, Grouping, ScoredBucket
from seqlens.tasks.transduce.analysis.texts import ModelKnowledge, analyse_texts

__all__ = [
    "Analysis",
    "Attribution",
    "Bucket",
    "By",
    "ErrorExample",
    "ErrorRow",
    "Grouping",
    "ModelKnowledge",
    "ScoredBucket",
    "Searched",
    "analyse_texts",
]
