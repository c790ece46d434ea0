"""Splits of labelled texts that come without: a part held out, or folds, by a hash of the text."""

from collections.abc import Collection, Iterable, Mapping

from seqlens.data.folds import fold_of, folds_of_splits
from seqlens.data.labelled.readers import Reader
from seqlens.data.labelled.records import LabelledText
from seqlens.data.splitting import TEST, TRAIN, VALIDATION, HashRule, find_rule
from seqlens.errors import RequestError


def held_out_by_hash(train: Reader, validation_fraction: float, test_fraction: float, name: str) -> dict[str, Reader]:
    """Splits by a hash of each text, so that equal texts stay together; no test split for a fraction of 0.

    Raises:
        RequestError: there are too few different texts.
    """
    rule = find_rule(
        (example.text for example in train(())),
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
    )
    if not rule.validation_end:
        raise RequestError(f"{name} has too few different texts to hold some out for validation.")

    def part(split: str, rule: HashRule = rule) -> Reader:
        return lambda left_out: (one for one in train(left_out) if rule.split_of(one.text) == split)

    parts = (TRAIN, VALIDATION, TEST) if rule.test_end > rule.validation_end else (TRAIN, VALIDATION)
    return {split: part(split) for split in parts}


def folds_of(train: Reader, fold: int, num_folds: int, seed: int) -> dict[str, Reader]:
    """The splits of one fold of a cross-validation; equal texts are in one fold."""

    def part(folds: Collection[int]) -> Reader:
        def read(left_out: Collection[str]) -> Iterable[LabelledText]:
            return (one for one in train(left_out) if fold_of(one.text, num_folds, seed) in folds)

        return read

    return {split: part(folds) for split, folds in folds_of_splits(fold, num_folds).items()}


def without_held_out(readers: Mapping[str, Reader]) -> Reader:
    """The reader of train, without what stands in another split."""
    train = readers[TRAIN]
    others = [reader for split, reader in readers.items() if split != TRAIN]

    def read(left_out: Collection[str]) -> Iterable[LabelledText]:
        held_out = {example.text for reader in others for example in reader(())}
        return train({*left_out, *held_out})

    return read
