"""A corpus of labelled texts: from the catalogue, files, or a folder."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import Field

from seqlens.data.download import Announce, fetch_files
from seqlens.data.example_cards import ExampleCard, example_card_names, read_example_card
from seqlens.data.folds import check_fold
from seqlens.data.labelled.folders import find_class_folders, split_files
from seqlens.data.labelled.readers import Format, Reader, class_files_reader, reader_of
from seqlens.data.labelled.records import LabelledText
from seqlens.data.labelled.splits import folds_of, held_out_by_hash, without_held_out
from seqlens.data.splits import unknown_split
from seqlens.data.splitting import TEST, TRAIN, VALIDATION
from seqlens.errors import RequestError, did_you_mean

_NOUN = ("text", "texts")


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Texts with a label each.

    `path` is a name of the catalogue, a file, or a folder with `train`, `validation` (or `dev`, `valid`) and `test` as
    files or as folders of class folders; or the files are named one by one. What has no validation or test split is
    split by a hash of its texts.

    `format`: `lines` (the label, a space, the text), `tsv` and `csv` (`text_column` and `label_column`, counted from 0
    or by the name in the header), `jsonl` (`text_key`, `label_key`), `trees` (phrase trees in brackets), `folders` (a
    folder a class, a file a text), `class_files` (a file a class, a line a text; the file's ending is the label), or
    `auto`, which goes by the ending. `encoding` is for `class_files`; all else is UTF-8.

    `fold`: k-fold cross-validation. By a hash of its text each example of the file or of train belongs to one of
    `num_folds` folds; fold `fold`, counted from 0, is then the test split, the next one (the first after the last) is
    for validation. Each `fold_seed` cuts other folds.

    `phrases`: of trees, train on every phrase, each once. `drop_held_out`: texts of train that stand in another split,
    too, are left out of train, and of trees all their phrases. `labels` renames labels; with null, texts of that label
    are left out; labels not named stay as they are.
    """

    kind: Literal["labelled"] = "labelled"
    path: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    format: Format = "auto"
    text_column: Annotated[int, Field(ge=0)] | str = 0
    label_column: Annotated[int, Field(ge=0)] | str = 1
    text_key: str = "text"
    label_key: str = "label"
    phrases: bool = False
    drop_held_out: bool = False
    labels: dict[str, str | None] = field(default_factory=dict)
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    fold: Annotated[int, Field(ge=0)] | None = None
    num_folds: Annotated[int, Field(ge=3)] = 10
    fold_seed: Annotated[int, Field(ge=0)] = 0
    encoding: Literal["utf-8", "latin-1"] = "utf-8"

    def __post_init__(self) -> None:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("'validation_fraction' and 'test_fraction' must leave something to train on")
        check_fold(self.fold, self.num_folds)


@final
@dataclass(frozen=True, slots=True)
class LabelledCorpus:
    """Labelled texts in files; see `open_labelled`."""

    name: str
    readers: dict[str, Reader]
    labels: dict[str, str | None]
    noun: tuple[str, str] = _NOUN

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.readers)

    def read(self, split: str) -> Iterator[LabelledText]:
        if split not in self.readers:
            raise unknown_split(split, self.name, self.splits)
        for example in self.readers[split](()):
            label = self.labels.get(example.label, example.label)
            if label is not None:
                yield example if label == example.label else replace(example, label=label)

    def fingerprint(self, split: str) -> str:
        return fingerprint_labelled(self.read(split))


def fingerprint_labelled(examples: Iterable[LabelledText]) -> str:
    """The SHA-256 of texts and labels, each after its length in bytes."""
    digest = hashlib.sha256()
    for example in examples:
        for part in (example.text, example.label):
            data = part.encode()
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def open_labelled(config: LabelledData, *, base: Path, announce: Announce | None = None) -> LabelledCorpus:
    """Opens a corpus; relative paths are taken from `base`.

    Raises:
        RequestError: a path or a choice of files does not fit. WorkError: a download failed.
    """
    name, readers = _open_path(config, base, announce)
    for split, given in ((TRAIN, config.train), (VALIDATION, config.validation), (TEST, config.test)):
        if given is not None:
            path = base / given
            if not path.exists():
                raise RequestError(f"There is no file {path}, which '{split}' names.")
            readers[split] = _reader(path, config, split)
    if not readers:
        raise RequestError(
            "The data have none of 'path', 'train', 'validation' and 'test', expected 'path' or 'train'."
        )
    if config.drop_held_out and TRAIN in readers:
        readers[TRAIN] = without_held_out(readers)
    if config.fold is not None:
        if TRAIN not in readers:
            raise RequestError(f"'fold' is given, but {name} has no training {_NOUN[1]} to cut into folds.")
        readers = folds_of(readers[TRAIN], config.fold, config.num_folds, config.fold_seed)
    elif TRAIN in readers and VALIDATION not in readers:
        test_fraction = 0.0 if TEST in readers else config.test_fraction
        readers |= held_out_by_hash(readers[TRAIN], config.validation_fraction, test_fraction, name)
    return LabelledCorpus(name, readers, config.labels)


def _open_path(config: LabelledData, base: Path, announce: Announce | None) -> tuple[str, dict[str, Reader]]:
    if config.path is None:
        return "files", {}
    if config.path in example_card_names():
        card = read_example_card(config.path)
        return card.name, _open_card(card, config, announce)
    path = base / config.path
    if path.is_file():
        return config.path, {TRAIN: _reader(path, config, TRAIN)}
    if path.is_dir():
        return config.path, _open_folder(path, config)
    names = example_card_names()
    raise RequestError(
        f"There is no data set '{config.path}': {path} is neither a file nor a folder, and the catalogue has "
        f"{', '.join(names)}.{did_you_mean(config.path, names)}"
    )


def _open_folder(path: Path, config: LabelledData) -> dict[str, Reader]:
    if config.format == "class_files":
        files = sorted(entry for entry in path.iterdir() if entry.is_file())
        return {TRAIN: class_files_reader(files, config.encoding)}
    if config.format in ("auto", "folders") and find_class_folders(path):
        return {TRAIN: _reader(path, config, TRAIN)}
    found = split_files(path)
    if not found:
        there = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "nothing"
        raise RequestError(
            f"The folder {path} has neither splits (train.tsv, train.jsonl, train.txt, train/…) nor a folder for each "
            f"class with text files in it; it holds {there}."
        )
    return {split: _reader(file, config, split) for split, file in found.items()}


def _open_card(card: ExampleCard, config: LabelledData, announce: Announce | None) -> dict[str, Reader]:
    if card.kind != "labelled":
        raise RequestError(f"'{card.name}' is a data set of kind '{card.kind}', expected one of kind 'labelled'.")
    folder = fetch_files(card, card.files, announce=announce)
    settings = replace(config, **card.options)  # type: ignore[arg-type]
    if settings.format == "class_files":
        return {
            split.name: class_files_reader([folder / file for file in split.files], settings.encoding)
            for split in card.splits
        }
    return {split.name: _reader(folder / split.files[0], settings, split.name) for split in card.splits}


def _reader(path: Path, config: LabelledData, split: str) -> Reader:
    return reader_of(
        path,
        config.format,
        columns=(config.text_column, config.label_column),
        keys=(config.text_key, config.label_key),
        # Only what is learnt from may be cut up: a score is of whole sentences.
        phrases=config.phrases and split == TRAIN,
    )
