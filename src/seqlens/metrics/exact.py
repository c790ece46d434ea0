"""Exact match: the share of outputs that are right to the last character."""

from collections.abc import Sequence
from typing import final

from seqlens.metrics.references import References, ReferencesLog, read_references
from seqlens.metrics.score import Score
from seqlens.metrics.sufficient import DEFAULT_RESAMPLES, DEFAULT_SEED, Statistics, mean_statistics


@final
class ExactMatch:
    """The share, 0 to 1, of hypotheses equal to a reference.

    Texts are compared code point by code point: no Unicode normalisation, no trimming of white space, and case
    counts unless `lowercase` is set.
    """

    def __init__(
        self, *, lowercase: bool = False, num_resamples: int = DEFAULT_RESAMPLES, seed: int = DEFAULT_SEED
    ) -> None:
        self._lowercase = lowercase
        self._num_resamples = num_resamples
        self._seed = seed
        self._correct: list[float] = []
        self._references = ReferencesLog()

    def add(self, hypotheses: Sequence[str], references: References) -> None:
        """Adds examples; one counts as right if it equals any of its references."""
        lists = read_references(hypotheses, references)
        for hypothesis, several in zip(hypotheses, lists, strict=True):
            if self._lowercase:
                hypothesis, several = hypothesis.lower(), [reference.lower() for reference in several]
            self._correct.append(float(hypothesis in several))
        self._references.add(lists)

    def statistics(self) -> Statistics:
        """1 or 0 for every example."""
        case = "lc" if self._lowercase else "mixed"
        return mean_statistics(
            "exact match",
            self._correct,
            signature=f"nrefs:{self._references.count}|case:{case}",
            references_id=self._references.fingerprint,
        )

    def compute(self) -> Score:
        """The share of all examples added; RequestError if there are none."""
        return self.statistics().score(num_resamples=self._num_resamples, seed=self._seed)


def exact_match(
    hypotheses: Sequence[str],
    references: References,
    *,
    lowercase: bool = False,
    num_resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> Score:
    """Exact match of a list of texts, see `ExactMatch`; `references` holds one text, or a list, for each hypothesis."""
    metric = ExactMatch(lowercase=lowercase, num_resamples=num_resamples, seed=seed)
    metric.add(hypotheses, references)
    return metric.compute()
