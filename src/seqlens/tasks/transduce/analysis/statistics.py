"""What a score of any part of the answers, and a paired test of them, needs: counts sentence by sentence."""

from collections.abc import Sequence
from typing import assert_never

from seqlens.metrics import Bleu, Chrf, ExactMatch, Statistics
from seqlens.tasks.transduce.analysis.words import written_without_spaces
from seqlens.tasks.transduce.config import BleuTokens, ScoreName


def text_statistics(
    name: ScoreName, answers: Sequence[str], references: Sequence[str], *, lowercase: bool, tokenize: str = "13a"
) -> Statistics:
    """The statistics of a score; `tokenize` is sacrebleu's, for BLEU only."""
    match name:
        case "exact_match":
            metric: Bleu | Chrf | ExactMatch = ExactMatch(lowercase=lowercase)
        case "bleu":
            metric = Bleu(lowercase=lowercase, tokenize=tokenize)
        case "chrf":
            metric = Chrf(lowercase=lowercase)
        case _:
            assert_never(name)
    metric.add(answers, references)
    return metric.statistics()


def bleu_tokenizer(references: Sequence[str], tokens: BleuTokens = "auto") -> str:
    """sacrebleu's tokeniser for references; `auto`: characters where most letters are of a script without spaces."""
    if tokens != "auto":
        return tokens
    return "char" if written_without_spaces(list(references)) else "13a"
