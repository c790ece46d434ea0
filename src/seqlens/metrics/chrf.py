"""chrF by sacrebleu, with an interval. M. Popović (2015, 2017)."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from seqlens.errors import WorkError
from seqlens.metrics.references import References, ReferencesLog, read_references
from seqlens.metrics.score import Score
from seqlens.metrics.sufficient import DEFAULT_RESAMPLES, DEFAULT_SEED, Statistics

_BETA = 2  # recall weighs twice as much as precision


@final
class Chrf:
    """Corpus chrF, 0 to 100: F-score of character n-grams up to 6, for `word_order=2` (chrF++) of words too.

    White space does not count. Texts are compared as they are: no Unicode normalisation, and case counts unless
    `lowercase` is set.
    """

    def __init__(
        self,
        *,
        lowercase: bool = False,
        word_order: int = 0,
        num_resamples: int = DEFAULT_RESAMPLES,
        seed: int = DEFAULT_SEED,
    ) -> None:
        from sacrebleu.metrics.chrf import CHRF

        self._metric: Any = CHRF(lowercase=lowercase, word_order=word_order, beta=_BETA)
        self._name = f"chrF{_BETA}" + "+" * word_order
        self._num_orders: int = self._metric.order
        self._num_resamples = num_resamples
        self._seed = seed
        self._rows: list[list[int]] = []
        self._references = ReferencesLog()

    def add(self, hypotheses: Sequence[str], references: References) -> None:
        """Adds examples: n-gram counts are taken now and the texts are not kept."""
        lists = read_references(hypotheses, references)
        if not lists:
            return
        widest = max(map(len, lists))
        by_rank = [[several[rank] if rank < len(several) else None for several in lists] for rank in range(widest)]
        # Not public in sacrebleu 2.6, which offers no other way to the counts of a sentence; hence the check.
        rows = self._metric._extract_corpus_statistics(hypotheses, by_rank)
        self._check(rows[0], hypotheses[0], lists[0])
        self._rows += rows
        self._references.add(lists)

    def statistics(self) -> Statistics:
        """For every example and order: n-grams of the hypothesis, of the (closest) reference, and matches."""
        return Statistics(
            name=self._name,
            per_example=np.array(self._rows, dtype=np.float64).reshape(-1, 3 * self._num_orders),
            score_totals=chrf_of_totals,
            signature=self._references.sacrebleu_signature(self._metric),
            references_id=self._references.fingerprint,
        )

    def compute(self) -> Score:
        """chrF of all examples added; RequestError if there are none."""
        return self.statistics().score(num_resamples=self._num_resamples, seed=self._seed)

    def _check(self, row: list[int], hypothesis: str, references: list[str]) -> None:
        public = self._metric.sentence_score(hypothesis, references).score
        ours = float(chrf_of_totals(np.array(row, dtype=np.float64))) if len(row) == 3 * self._num_orders else None
        if ours is None or abs(ours - public) > 1e-9:
            from sacrebleu import __version__

            raise WorkError(
                f"sacrebleu {__version__} counts chrF in another way than the versions known here (2.5, 2.6); "
                f"install one of these."
            )


def corpus_chrf(
    hypotheses: Sequence[str],
    references: References,
    *,
    lowercase: bool = False,
    word_order: int = 0,
    num_resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> Score:
    """chrF of a list of texts, see `Chrf`; `references` holds one text, or a list of texts, for each hypothesis."""
    metric = Chrf(lowercase=lowercase, word_order=word_order, num_resamples=num_resamples, seed=seed)
    metric.add(hypotheses, references)
    return metric.compute()


def chrf_of_totals(totals: Float64[np.ndarray, "*sets statistics"]) -> Float64[np.ndarray, "*sets"]:
    """chrF of the n-grams in hypotheses, in references, and matched, for one order after the other.

    Precision and recall are averaged over the orders that both sides have, as sacrebleu does without eps smoothing.
    """
    in_hypothesis, in_reference, matched = totals[..., 0::3], totals[..., 1::3], totals[..., 2::3]
    counted = (in_hypothesis > 0) & (in_reference > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        num_counted = counted.sum(axis=-1)
        precision = np.where(counted, matched / in_hypothesis, 0).sum(axis=-1) / num_counted
        recall = np.where(counted, matched / in_reference, 0).sum(axis=-1) / num_counted
        scores = 100 * (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)
    return np.asarray(np.where(precision + recall > 0, scores, 0.0))
