"""A corpus of which only a part of the training data is read: for learning curves.

The parts are nested: what is in one fraction is in every larger one of the same seed. All other splits are as they are.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import compress
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float64

from seqlens.data.example_corpus import ExampleCorpus
from seqlens.data.examples import Pair
from seqlens.data.fingerprints import fingerprint_pairs
from seqlens.data.splits import Corpus
from seqlens.data.splitting import TRAIN
from seqlens.errors import RequestError


def choose_part(total: int, fraction: float, seed: int, noun: str) -> Bool[np.ndarray, "total"]:
    """Which of `total` records are in a fraction, rounded to whole records.

    Raises:
        RequestError: it would be none.
    """
    count = round(fraction * total)
    if not count:
        raise RequestError(f"A fraction of {fraction:g} of {total:,} training {noun} is none at all; ask for more.")
    chosen = np.zeros(total, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(total)[:count]] = True
    return chosen


@final
@dataclass(frozen=True, slots=True)
class PartOfExamples:
    """Examples, of train a part only."""

    whole: ExampleCorpus[Any]
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def noun(self) -> tuple[str, str]:
        return self.whole.noun

    @property
    def splits(self) -> tuple[str, ...]:
        return self.whole.splits

    def read(self, split: str) -> Iterator[Any]:
        if split != TRAIN:
            return self.whole.read(split)
        total = sum(1 for _ in self.whole.read(TRAIN))
        return _kept(self.whole.read(TRAIN), choose_part(total, self.fraction, self.seed, self.noun[1]))

    def fingerprint(self, split: str) -> str:
        if split != TRAIN:
            return self.whole.fingerprint(split)
        chosen = f"{self.whole.fingerprint(split)} {self.fraction!r} {self.seed}"
        return hashlib.sha256(chosen.encode()).hexdigest()


@final
@dataclass(frozen=True, slots=True)
class PartOfPairs:
    """Pairs, of train a part only."""

    whole: Corpus
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def splits(self) -> tuple[str, ...]:
        return self.whole.splits

    @property
    def source_name(self) -> str:
        return self.whole.source_name

    @property
    def target_name(self) -> str:
        return self.whole.target_name

    @property
    def context_sentences(self) -> int:
        return self.whole.context_sentences

    def read(self, split: str) -> Iterator[Pair]:
        return compress(self.whole.read(TRAIN), self.chosen()) if split == TRAIN else self.whole.read(split)

    def fingerprint(self, split: str) -> str:
        return fingerprint_pairs(self.read(TRAIN)) if split == TRAIN else self.whole.fingerprint(split)

    def repeats(self) -> Float64[np.ndarray, "pairs"] | None:
        repeats = self.whole.repeats()
        return None if repeats is None else repeats[self.chosen()]

    def chosen(self) -> Bool[np.ndarray, "pairs"]:
        """Which of all training pairs are in the part."""
        return choose_part(sum(1 for _ in self.whole.read(TRAIN)), self.fraction, self.seed, "pairs")


def whole_of(corpus: Corpus) -> Corpus:
    """The corpus itself, or the one that it is a part of."""
    return corpus.whole if isinstance(corpus, PartOfPairs) else corpus


def _kept(records: Iterator[Any], chosen: Bool[np.ndarray, "records"]) -> Iterator[Any]:
    """The chosen records; one that goes on from a record that is left out begins anew."""
    before = True
    for record, keep in zip(records, chosen, strict=True):
        if keep:
            yield record if before else _begun_anew(record)
        before = bool(keep)


def _begun_anew(record: Any) -> Any:
    if is_dataclass(record) and not isinstance(record, type) and "continues" in {one.name for one in fields(record)}:
        return replace(record, continues=False)
    return record
