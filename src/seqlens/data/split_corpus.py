"""What corpora of examples have in common: a reader a split, and splits by a hash where there are none."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar, final

from pydantic import Field

from seqlens.data.download import Announce, fetch_files
from seqlens.data.example_cards import ExampleCard, example_card_names, read_example_card
from seqlens.data.splits import unknown_split
from seqlens.data.splitting import TEST, TRAIN, VALIDATION, HashRule, find_rule
from seqlens.errors import RequestError, did_you_mean_data

Fraction = Annotated[float, Field(gt=0, lt=1)]
FractionOrNone = Annotated[float, Field(ge=0, lt=1)]
Example = TypeVar("Example")
Reader = Callable[[], Iterable[Example]]


@final
@dataclass(frozen=True, slots=True)
class SplitCorpus(Generic[Example]):
    """Examples that are read or generated again and again, a reader a split."""

    name: str
    readers: Mapping[str, Reader[Example]]
    fingerprint_of: Callable[[Iterable[Example]], str]
    noun: tuple[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.readers)

    def read(self, split: str) -> Iterator[Example]:
        if split not in self.readers:
            raise unknown_split(split, self.name, self.splits)
        return iter(self.readers[split]())

    def fingerprint(self, split: str) -> str:
        return self.fingerprint_of(self.read(split))


def check_fractions(validation_fraction: float, test_fraction: float) -> None:
    """Raises ValueError if nothing is left to train on."""
    if validation_fraction + test_fraction >= 1:
        raise ValueError("'validation_fraction' and 'test_fraction' must leave something to train on")


def open_card(card: ExampleCard, kind: str, announce: Announce | None) -> dict[str, list[Path]]:
    """The files of each split of a data set of the catalogue, fetched if they are not there.

    Raises:
        RequestError: it is of another kind. WorkError: a download failed.
    """
    if card.kind != kind:
        raise RequestError(f"'{card.name}' is a data set of kind '{card.kind}', expected one of kind '{kind}'.")
    folder = fetch_files(card, card.files, announce=announce)
    return {split.name: [folder / file for file in split.files] for split in card.splits}


def find_card(path: str | None) -> ExampleCard | None:
    """The data set of the catalogue that a path names, if it names one."""
    return read_example_card(path) if path is not None and path in example_card_names() else None


def no_such_data(path: str, where: Path) -> RequestError:
    """The error for a path that is nothing, with the nearest name of the catalogue."""
    names = example_card_names()
    return RequestError(
        f"There is no data set, file or folder '{path}': {where} is not there, and the catalogue has "
        f"{', '.join(names)}.{did_you_mean_data(path, names, where)}"
    )


def named_files(config: Any, base: Path, *, folders: bool = False) -> dict[str, Path]:
    """The files, or with `folders` those too, that `train`, `validation` and `test` of a config name, by split.

    Raises:
        RequestError: one is not there.
    """
    named = {split: getattr(config, split) for split in (TRAIN, VALIDATION, TEST)}
    found = {split: base / path for split, path in named.items() if path is not None}
    for split, path in found.items():
        if path.is_dir() and not folders:
            raise RequestError(f"{path}, which '{split}' names, is a folder, expected a file.")
        if not path.exists():
            raise RequestError(f"There is no file {path}, which '{split}' names.")
    return found


class Fractions(Protocol):
    """How much is held out, as the config of a corpus says it."""

    @property
    def validation_fraction(self) -> float: ...

    @property
    def test_fraction(self) -> float: ...


def complete_splits(
    corpus: SplitCorpus[Example], fractions: Fractions, key: Callable[[Example], str]
) -> SplitCorpus[Example]:
    """The same with validation, and with test where there was none, held out from train by a hash of `key`.

    Examples with equal keys stay together. Nothing is held out where there is a validation split, or no train.

    Raises:
        RequestError: there is nothing to read, or too little to hold some out.
    """
    readers = corpus.readers
    if not readers:
        raise RequestError(
            "The data have none of 'path', 'train', 'validation' and 'test', expected 'path' or 'train'."
        )
    if TRAIN not in readers or VALIDATION in readers:
        return corpus
    train, others = readers[TRAIN], {split: reader for split, reader in readers.items() if split != TRAIN}
    wanted = 0.0 if TEST in others else fractions.test_fraction
    rule = find_rule(map(key, train()), validation_fraction=fractions.validation_fraction, test_fraction=wanted)
    if not rule.validation_end:
        raise RequestError(f"{corpus.name} has too few different {corpus.noun[1]} to hold some out for validation.")

    def part(split: str, rule: HashRule = rule) -> Reader[Example]:
        return lambda: (example for example in train() if rule.split_of(key(example)) == split)

    parts = (TRAIN, VALIDATION, TEST) if rule.test_end > rule.validation_end else (TRAIN, VALIDATION)
    return replace(corpus, readers={**{split: part(split) for split in parts}, **others})
