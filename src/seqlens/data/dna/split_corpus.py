"""What corpora of DNA have in common: a reader a split, and splits by a hash where there are none."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar, final

from pydantic import Field

from seqlens.data.download import Announce, fetch_files
from seqlens.data.example_cards import read_example_card
from seqlens.data.splits import unknown_split
from seqlens.data.splitting import TEST, TRAIN, VALIDATION, HashRule, find_rule
from seqlens.errors import RequestError

Fraction = Annotated[float, Field(gt=0, lt=1)]
FractionOrNone = Annotated[float, Field(ge=0, lt=1)]
Example = TypeVar("Example")
Reader = Callable[[], Iterable[Example]]


@final
@dataclass(frozen=True, slots=True)
class DnaCorpus(Generic[Example]):
    """Sequences in files, a reader a split; see `open_dna` and `open_windows`."""

    name: str
    readers: dict[str, Reader[Example]]
    fingerprint_of: Callable[[Iterator[Example]], str]
    noun: tuple[str, str] = ("sequence", "sequences")

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.readers)

    def read(self, split: str) -> Iterator[Example]:
        if split not in self.readers:
            raise unknown_split(split, self.name, self.splits)
        yield from self.readers[split]()

    def fingerprint(self, split: str) -> str:
        return self.fingerprint_of(self.read(split))


def open_card(
    name: str, kind: str, reader_of: Callable[[list[Path]], Reader[Example]], announce: Announce | None
) -> dict[str, Reader[Example]]:
    """The splits of a data set of the catalogue, whose files are fetched if they are not there.

    Raises:
        RequestError: it is of another kind. WorkError: a download failed.
    """
    card = read_example_card(name)
    if card.kind != kind:
        raise RequestError(f"'{name}' is a data set of kind '{card.kind}', expected one of kind '{kind}'.")
    folder = fetch_files(card, card.files, announce=announce)
    return {split.name: reader_of([folder / file for file in split.files]) for split in card.splits}


def complete_splits(
    readers: dict[str, Reader[Example]],
    *,
    key: Callable[[Example], str],
    name: str,
    validation_fraction: float,
    test_fraction: float,
) -> dict[str, Reader[Example]]:
    """The same with validation, and with test where train was all there is, held out from train by a hash of `key`.

    Raises:
        RequestError: there is nothing to read, or too little to hold some out.
    """
    if not readers:
        raise RequestError("The data name no file, expected 'path' or 'train'.")
    if TRAIN not in readers or VALIDATION in readers:
        return readers
    train, only = readers[TRAIN], len(readers) == 1
    rule = find_rule(
        map(key, train()), validation_fraction=validation_fraction, test_fraction=test_fraction if only else 0.0
    )
    if not rule.validation_end:
        raise RequestError(f"{name} has too few different sequences to hold some out for validation.")

    def part(split: str, rule: HashRule = rule) -> Reader[Example]:
        return lambda: (example for example in train() if rule.split_of(key(example)) == split)

    parts = (TRAIN, VALIDATION, TEST) if rule.test_end > rule.validation_end else (TRAIN, VALIDATION)
    return {**{split: part(split) for split in parts}, **{split: of for split, of in readers.items() if split != TRAIN}}
