"""What a transducer is worth while it trains, and the scores of `evaluate`."""

import math
from collections.abc import Iterable, Sequence

import torch

from seqlens.data.batch import PairBatch
from seqlens.decoding import DecodingConfig
from seqlens.metrics import Score, corpus_bleu, corpus_chrf, exact_match
from seqlens.models.transducer import Transducer
from seqlens.tasks.transduce.analysis.statistics import bleu_tokenizer
from seqlens.tasks.transduce.config import BleuTokens, ScoreName
from seqlens.tasks.transduce.task import TransduceTask


def validated(task: TransduceTask) -> tuple[str, ...]:
    """The names of what `validate` gives."""
    return ("loss", "perplexity", *task.config.validation_scores)


def validate(
    task: TransduceTask, model: Transducer, batches: Iterable[PairBatch], pairs: Sequence[tuple[str, str]]
) -> dict[str, float]:
    """Loss a token (natural logarithm, without label smoothing), perplexity, and the scores the recipe asks for.

    Scores come from greedy search over `pairs`, without intervals.
    """
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            loss = task.loss(model, batch)
            total += loss.parts["nll"]
            count += loss.count
    metrics = {"loss": total / max(count, 1)}
    metrics["perplexity"] = math.exp(min(metrics["loss"], 100.0))
    if task.config.validation_scores and pairs:
        sources = [source for source, _ in pairs]
        answers = task.predict(model, sources, DecodingConfig(method="greedy"), batch_size=256, align=False)
        hypotheses, references = [answer.text for answer in answers], [target for _, target in pairs]
        for name in task.config.validation_scores:
            score = compute_score(
                name,
                hypotheses,
                references,
                lowercase=task.config.lowercase_scores,
                tokens=task.config.bleu_tokens,
                num_resamples=0,
            )
            metrics[name] = score.value
    return metrics


def compute_score(
    name: ScoreName,
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    lowercase: bool,
    tokens: BleuTokens = "auto",
    num_resamples: int = 1000,
) -> Score:
    """One score of answers against references, with its bootstrap interval; `tokens` are those of BLEU."""
    match name:
        case "exact_match":
            return exact_match(hypotheses, references, lowercase=lowercase, num_resamples=num_resamples)
        case "bleu":
            tokenize = bleu_tokenizer(references, tokens)
            return corpus_bleu(
                hypotheses, references, lowercase=lowercase, tokenize=tokenize, num_resamples=num_resamples
            )
        case "chrf":
            return corpus_chrf(hypotheses, references, lowercase=lowercase, num_resamples=num_resamples)
