"""Folds of a cross-validation: which one an example is in, by a hash of what it says."""

from collections.abc import Callable, Collection, Iterable
from hashlib import blake2b
from typing import TypeVar

from seqlens.data.splitting import TEST, TRAIN, VALIDATION, hash_sentence, normalise_sentence

Example = TypeVar("Example")


def fold_of(text: str, num_folds: int, seed: int = 0) -> int:
    """The fold of a text, from 0: equal for texts that are equal after `normalise_sentence`, another for each seed."""
    if not seed:
        return hash_sentence(text) % num_folds
    seeded = f"{seed} {normalise_sentence(text)}".encode()
    return int.from_bytes(blake2b(seeded, digest_size=8).digest(), "big") % num_folds


def folds_of_splits(fold: int, num_folds: int) -> dict[str, tuple[int, ...]]:
    """The folds that make each split: `fold` is for test, the next one (the first after the last) for validation."""
    validation = (fold + 1) % num_folds
    rest = tuple(number for number in range(num_folds) if number not in (fold, validation))
    return {TRAIN: rest, VALIDATION: (validation,), TEST: (fold,)}


def cut_folds(
    read: Callable[[], Iterable[Example]], key: Callable[[Example], str], *, fold: int, num_folds: int, seed: int
) -> dict[str, Callable[[], Iterable[Example]]]:
    """The readers of the splits of one fold; examples with equal keys are in one fold."""

    def part(folds: Collection[int]) -> Callable[[], Iterable[Example]]:
        return lambda: (one for one in read() if fold_of(key(one), num_folds, seed) in folds)

    return {split: part(folds) for split, folds in folds_of_splits(fold, num_folds).items()}


def check_fold(fold: int | None, num_folds: int) -> None:
    """Raises ValueError for a fold that there is not."""
    if fold is not None and fold >= num_folds:
        raise ValueError(f"'fold' is {fold}, expected 0 to {num_folds - 1}: 'num_folds' is {num_folds}")
