"""A corpus of labelled windows of DNA, from the catalogue or from files."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.dna.windows import read_class_fasta, read_windows, renamed, without_duplicates
from seqlens.data.download import Announce
from seqlens.data.example_cards import ExampleCard, example_card_names
from seqlens.data.folds import check_fold, cut_folds
from seqlens.data.labelled.corpus import fingerprint_labelled
from seqlens.data.labelled.records import LabelledText
from seqlens.data.split_corpus import (
    Fraction,
    FractionOrNone,
    Reader,
    SplitCorpus,
    check_fractions,
    complete_splits,
    find_card,
    open_card,
)
from seqlens.data.splitting import TEST, TRAIN, VALIDATION
from seqlens.errors import RequestError, did_you_mean

_NOUN = ("window", "windows")
_CLASS = "class "
"""How a card's options name the file of a class: `class LABEL: FILE`."""


@dataclass(frozen=True, slots=True)
class DnaWindowsData:
    """Short sequences with a label each.

    `path` is a name of the catalogue or a table (.csv, .tsv), `classes` a FASTA file for each label; what has no splits
    is split by a hash of the sequence. `train`, `validation` and `test` name tables. Columns are counted from 0 or
    named as in the header. Of equal sequences one is kept, and none where their labels differ, unless `duplicates` is
    `keep`. `labels` renames labels; sequences of a label that becomes null are left out. `fold`, `num_folds` and
    `fold_seed` cut the training data into the folds of a cross-validation, as in data of kind `labelled`.
    """

    kind: Literal["dna_windows"] = "dna_windows"
    path: str | None = None
    classes: dict[str, str] = field(default_factory=dict)
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    sequence_column: Annotated[int, Field(ge=0)] | str = "sequence"
    label_column: Annotated[int, Field(ge=0)] | str = "label"
    labels: dict[str, str | None] = field(default_factory=dict)
    duplicates: Literal["drop", "keep"] = "drop"
    validation_fraction: Fraction = 0.1
    test_fraction: FractionOrNone = 0.1
    fold: Annotated[int, Field(ge=0)] | None = None
    num_folds: Annotated[int, Field(ge=3)] = 10
    fold_seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        check_fold(self.fold, self.num_folds)
        check_fractions(self.validation_fraction, self.test_fraction)


def open_windows(config: DnaWindowsData, *, base: Path, announce: Announce | None = None) -> SplitCorpus[LabelledText]:
    """Opens a corpus of labelled windows; relative paths are taken from `base`.

    Raises:
        RequestError: a path or a choice of files does not fit. WorkError: a download failed.
    """
    readers: dict[str, Reader[LabelledText]] = {}
    name = config.path or "files"
    card = find_card(config.path)
    if card is not None:
        settings, labels = _settings_of(card, config), _labels_of(card)
        of_splits = open_card(card, "dna_windows", announce)
        readers = {
            split: partial(_read, settings, files, {file: labels[file.name] for file in files if file.name in labels})
            for split, files in of_splits.items()
        }
    elif config.path is not None or config.classes:
        files = [] if config.path is None else [_existing(base / config.path, "path")]
        of_classes = {_existing(base / file, f"classes.{of}"): of for of, file in config.classes.items()}
        readers = {TRAIN: partial(_read, config, [*files, *of_classes], of_classes)}
    for split, given in ((TRAIN, config.train), (VALIDATION, config.validation), (TEST, config.test)):
        if given is not None:
            readers[split] = partial(_read, config, [_existing(base / given, split)], {})
    if config.fold is not None and TRAIN in readers:
        readers = cut_folds(readers[TRAIN], _text_of, config)
    return complete_splits(SplitCorpus(name, readers, fingerprint_labelled, _NOUN), config, key=_text_of)


def _read(config: DnaWindowsData, files: list[Path], labels: dict[Path, str]) -> Iterator[LabelledText]:
    """Files of a class are FASTA, all others tables."""

    def examples() -> Iterator[LabelledText]:
        for file in files:
            if file in labels:
                yield from read_class_fasta(file, labels[file])
            else:
                yield from read_windows(file, sequence_column=config.sequence_column, label_column=config.label_column)

    found = renamed(examples(), config.labels)
    yield from found if config.duplicates == "keep" else without_duplicates(found)


def _settings_of(card: ExampleCard, config: DnaWindowsData) -> DnaWindowsData:
    columns = {key: value for key, value in card.options.items() if key in ("sequence_column", "label_column")}
    return replace(config, **columns)  # type: ignore[arg-type]


def _labels_of(card: ExampleCard) -> dict[str, str]:
    """The label of each file that is one of a class."""
    return {str(file): key.removeprefix(_CLASS) for key, file in card.options.items() if key.startswith(_CLASS)}


def _text_of(example: LabelledText) -> str:
    return example.text


def _existing(path: Path, where: str) -> Path:
    if not path.is_file():
        hint = did_you_mean(path.name, example_card_names()) if where == "path" else ""
        raise RequestError(f"There is no file {path}, which '{where}' names.{hint}")
    return path
