"""Which words translate which: IBM model 1, learnt from the training pairs in seconds.

P. F. Brown et al. (1993), "The mathematics of statistical machine translation", section 4.1 (model 1).
"""

from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float64, Int64

_NUM_ITERATIONS = 5
# Pairs of a source and a target word in one sentence pair; beyond, every k-th training pair is taken.
_MAX_LINKS = 6_000_000
_LEAST_PROBABILITY = 0.01
_NOTHING = ""  # the empty source word of model 1: a target word without a counterpart comes from it


@final
class Lexicon:
    """For each source word the target words it may stand for, with `p(target | source)` of 0.01 or more."""

    def __init__(self, translations: dict[str, dict[str, float]]) -> None:
        self._translations = translations

    def __len__(self) -> int:
        return len(self._translations)

    def translations(self, word: str) -> dict[str, float]:
        """Target words with their probabilities; none for a word that was not seen."""
        return self._translations.get(word, {})

    @classmethod
    def fit(cls, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> "Lexicon":
        """Learns from pairs of sentences, each as its words. Deterministic."""
        stride = 1 + sum(len(set(source)) * len(set(target)) for source, target in zip(sources, targets)) // _MAX_LINKS
        source_ids: dict[str, int] = {_NOTHING: 0}
        target_ids: dict[str, int] = {}
        of_source, of_target, of_position = [], [], []
        num_positions = 0
        for source, target in zip(sources[::stride], targets[::stride], strict=True):
            left = [0, *(source_ids.setdefault(word, len(source_ids)) for word in dict.fromkeys(source))]
            right = [target_ids.setdefault(word, len(target_ids)) for word in dict.fromkeys(target)]
            of_source.append(np.repeat(left, len(right)))
            of_target.append(np.tile(right, len(left)))
            of_position.append(np.tile(np.arange(num_positions, num_positions + len(right)), len(left)))
            num_positions += len(right)
        if not num_positions:
            return cls({})
        keys = np.concatenate(of_source).astype(np.int64) * len(target_ids) + np.concatenate(of_target)
        found, links = np.unique(keys, return_inverse=True)
        heads = found // len(target_ids)
        probabilities = _expectation_maximisation(links, heads, np.concatenate(of_position), num_positions)
        return cls(_kept(probabilities, heads, found % len(target_ids), list(source_ids), list(target_ids)))


def _expectation_maximisation(
    links: Int64[np.ndarray, "links"],
    heads: Int64[np.ndarray, "entries"],
    positions: Int64[np.ndarray, "links"],
    num_positions: int,
) -> Float64[np.ndarray, "entries"]:
    """Probabilities of the lexicon's entries; a link is an entry at one place of one target sentence."""
    probabilities = np.ones(len(heads))
    for _ in range(_NUM_ITERATIONS):
        weights = probabilities[links]
        weights /= np.bincount(positions, weights, minlength=num_positions)[positions]
        counts = np.bincount(links, weights, minlength=len(heads))
        probabilities = counts / np.bincount(heads, counts)[heads]
    return probabilities


def _kept(
    probabilities: Float64[np.ndarray, "entries"],
    heads: Int64[np.ndarray, "entries"],
    tails: Int64[np.ndarray, "entries"],
    source_words: list[str],
    target_words: list[str],
) -> dict[str, dict[str, float]]:
    translations: dict[str, dict[str, float]] = {}
    for entry in np.flatnonzero((probabilities >= _LEAST_PROBABILITY) & (heads > 0)):
        word = source_words[heads[entry]]
        translations.setdefault(word, {})[target_words[tails[entry]]] = float(probabilities[entry])
    return translations
