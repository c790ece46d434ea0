"""Folds of a cross-validation: which one an example is in, by a hash of what it says."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Protocol, TypeVar

from seqlens.data.splitting import TEST, TRAIN, VALIDATION, hash_sentence, normalise_sentence

Example = TypeVar("Example")


class Folded(Protocol):
    """Settings of data that can be cut into folds."""

    @property
    def fold(self) -> int | None:
        """The one held out, from 0; none = no folds."""

    @property
    def num_folds(self) -> int: ...

    @property
    def fold_seed(self) -> int:
        """Which of the ways to cut."""

    @property
    def validation_fraction(self) -> float:
        """The share of the other folds."""


def fold_of(text: str, num_folds: int, seed: int = 0) -> int:
    """The fold of a text, from 0: equal for texts that are equal after `normalise_sentence`, another for each seed."""
    if not seed:
        return hash_sentence(text) % num_folds
    return _seeded_hash(str(seed), text) % num_folds


def cut_folds(
    read: Callable[[], Iterable[Example]], key: Callable[[Example], str], config: Folded
) -> dict[str, Callable[[], Iterable[Example]]]:
    """The readers of the splits of one fold; examples with equal keys are in one split.

    The fold is for test. Of the others `validation_fraction` is for validation, at least one text, and others in each
    fold, so that nothing is kept from training for good.
    """
    fold, num_folds, seed = config.fold, config.num_folds, config.fold_seed

    def rank(text: str) -> int:
        return _seeded_hash(f"validation {seed} {fold}", text)

    def ranks() -> Iterator[int]:
        return (rank(key(one)) for one in read() if fold_of(key(one), num_folds, seed) != fold)

    end = int(config.validation_fraction * 2**64)
    if not any(value < end for value in ranks()):  # of many examples the first few are read
        end = min(ranks(), default=0) + 1

    def split_of(text: str) -> str:
        if fold_of(text, num_folds, seed) == fold:
            return TEST
        return VALIDATION if rank(text) < end else TRAIN

    def part(split: str) -> Callable[[], Iterable[Example]]:
        return lambda: (one for one in read() if split_of(key(one)) == split)

    return {split: part(split) for split in (TRAIN, VALIDATION, TEST)}


def _seeded_hash(seed: str, text: str) -> int:
    seeded = f"{seed} {normalise_sentence(text)}".encode()
    return int.from_bytes(blake2b(seeded, digest_size=8).digest(), "big")


def check_fold(fold: int | None, num_folds: int) -> None:
    """Raises ValueError for a fold that there is not."""
    if fold is not None and fold >= num_folds:
        raise ValueError(f"'fold' is {fold}, expected 0 to {num_folds - 1}: 'num_folds' is {num_folds}")
