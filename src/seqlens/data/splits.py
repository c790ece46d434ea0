"""What every corpus is: named splits of pairs."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from seqlens.data.examples import Pair
from seqlens.data.pair_files import VALIDATION_NAMES
from seqlens.errors import RequestError, did_you_mean


@runtime_checkable
class Corpus(Protocol):
    """Named splits of pairs that can be read again and again."""

    @property
    def name(self) -> str:
        """What the corpus is called: a name of the catalogue, a path, or `dates`."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits: train, validation, usually test, then others."""

    @property
    def source_name(self) -> str:
        """The source's language, such as `de`, or `source` where it is not known."""

    @property
    def target_name(self) -> str:
        """The target's language."""

    def read(self, split: str) -> Iterator[Pair]:
        """Reads a split from its beginning. Raises RequestError for an unknown split, and for faults in its
        files.
        """

    def fingerprint(self, split: str) -> str:
        """Returns a number for what the split says, 64 hexadecimal digits; it reads the whole split."""

    @property
    def context_sentences(self) -> int:
        """How many sentences before its own a source is given at most."""

    def repeats(self) -> Float64[np.ndarray, "pairs"] | None:
        """How often each pair of train is to be seen in an epoch; None where that is once."""


def unknown_split(split: str, corpus: str, splits: tuple[str, ...]) -> RequestError:
    hint = " Did you mean 'validation'?" if split in VALIDATION_NAMES else did_you_mean(split, splits)
    return RequestError(f"{corpus} has no split '{split}', expected one of {', '.join(splits)}.{hint}")
