"""BLEU by sacrebleu, with an interval. K. Papineni et al. (2002); M. Post (2018) for what makes it comparable."""

from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float64

from seqlens.errors import RequestError, did_you_mean
from seqlens.metrics.references import References, ReferencesLog, read_references
from seqlens.metrics.score import Score
from seqlens.metrics.sufficient import DEFAULT_RESAMPLES, DEFAULT_SEED, Statistics

_MAX_ORDER = 4


@final
class Bleu:
    """Corpus BLEU, 0 to 100, of plain (detokenised) texts.

    `tokenize` is a tokeniser of sacrebleu: "13a" is the usual one, "char", "intl", "zh", "none" and others exist.
    Texts are compared as they are: no Unicode normalisation, and case counts unless `lowercase` is set.
    """

    def __init__(
        self,
        *,
        lowercase: bool = False,
        tokenize: str = "13a",
        num_resamples: int = DEFAULT_RESAMPLES,
        seed: int = DEFAULT_SEED,
    ) -> None:
        from sacrebleu.metrics.bleu import BLEU

        if tokenize not in BLEU.TOKENIZERS:
            raise RequestError(
                f"'tokenize' is '{tokenize}', expected one of {', '.join(BLEU.TOKENIZERS)}."
                f"{did_you_mean(tokenize, BLEU.TOKENIZERS)}"
            )
        self._corpus_metric = BLEU(lowercase=lowercase, tokenize=tokenize)
        # The counts of a sentence do not depend on effective_order; without it sacrebleu warns at every sentence.
        self._sentence_metric = BLEU(lowercase=lowercase, tokenize=tokenize, effective_order=True)
        self._num_resamples = num_resamples
        self._seed = seed
        self._rows: list[list[int]] = []
        self._references = ReferencesLog()

    def add(self, hypotheses: Sequence[str], references: References) -> None:
        """Adds examples: n-gram counts are taken now and the texts are not kept."""
        lists = read_references(hypotheses, references)
        for hypothesis, several in zip(hypotheses, lists, strict=True):
            counted = self._sentence_metric.sentence_score(hypothesis, several)
            self._rows.append([counted.sys_len, counted.ref_len, *counted.counts, *counted.totals])
        self._references.add(lists)

    def statistics(self) -> Statistics:
        """Lengths, n-gram matches and n-gram counts of every example."""
        return Statistics(
            name="BLEU",
            per_example=np.array(self._rows, dtype=np.float64).reshape(-1, 2 + 2 * _MAX_ORDER),
            score_totals=bleu_of_totals,
            signature=self._references.sacrebleu_signature(self._corpus_metric),
            references_id=self._references.fingerprint,
        )

    def compute(self) -> Score:
        """BLEU of all examples added; RequestError if there are none."""
        return self.statistics().score(num_resamples=self._num_resamples, seed=self._seed)


def corpus_bleu(
    hypotheses: Sequence[str],
    references: References,
    *,
    lowercase: bool = False,
    tokenize: str = "13a",
    num_resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> Score:
    """BLEU of a list of texts, see `Bleu`; `references` holds one text, or a list of texts, for each hypothesis."""
    metric = Bleu(lowercase=lowercase, tokenize=tokenize, num_resamples=num_resamples, seed=seed)
    metric.add(hypotheses, references)
    return metric.compute()


def bleu_of_totals(totals: Float64[np.ndarray, "*sets 10"]) -> Float64[np.ndarray, "*sets"]:
    """BLEU of hypothesis length, reference length, 4 n-gram matches and 4 n-gram counts, smoothed as mteval-v13a.

    The same as `sacrebleu.metrics.BLEU.compute_bleu(..., smooth_method="exp")`, for many sets at once.
    """
    hypothesis_length, reference_length = totals[..., 0], totals[..., 1]
    matches, counts = totals[..., 2 : 2 + _MAX_ORDER], totals[..., 2 + _MAX_ORDER :]
    with np.errstate(divide="ignore", invalid="ignore"):
        shortness = np.minimum(1 - reference_length / hypothesis_length, 0)
        # The k-th order without a match counts as 1 / 2**k matches.
        smoothed = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=-1))
        log_precisions = np.log(smoothed / counts).sum(axis=-1) / _MAX_ORDER
        scores = 100 * np.exp(shortness + log_precisions)
    scored = (matches > 0).any(axis=-1) & (counts > 0).all(axis=-1)
    return np.asarray(np.where(scored, scores, 0.0))
