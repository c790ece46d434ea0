"""Metrics with intervals and paired tests; adapters over sacrebleu with one accumulate and compute interface."""

from seqlens.metrics.bleu import Bleu, corpus_bleu
from seqlens.metrics.chrf import Chrf, corpus_chrf
from seqlens.metrics.exact import ExactMatch, exact_match
from seqlens.metrics.metric import TextMetric
from seqlens.metrics.paired import PairedResult, against_baselines, paired_bootstrap
from seqlens.metrics.perplexity import Perplexity
from seqlens.metrics.pooling import mean_of_systems, pool_parts
from seqlens.metrics.randomisation import approximate_randomisation
from seqlens.metrics.score import Score
from seqlens.metrics.shares import share_of
from seqlens.metrics.sufficient import Statistics, mean_statistics

__all__ = [
    "Bleu",
    "Chrf",
    "ExactMatch",
    "PairedResult",
    "Perplexity",
    "Score",
    "Statistics",
    "TextMetric",
    "against_baselines",
    "approximate_randomisation",
    "corpus_bleu",
    "corpus_chrf",
    "exact_match",
    "mean_of_systems",
    "mean_statistics",
    "paired_bootstrap",
    "pool_parts",
    "share_of",
]
