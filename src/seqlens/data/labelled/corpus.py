"""A corpus of labelled texts: from the catalogue, files, or a folder."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.download import Announce
from seqlens.data.example_cards import ExampleCard
from seqlens.data.folds import check_fold, cut_folds
from seqlens.data.labelled.folders import (
    check_split_names,
    find_class_folders,
    has_class_folders,
    split_files,
    visible_files,
)
from seqlens.data.labelled.held_out import without_held_out
from seqlens.data.labelled.readers import Format, Reader, class_files_reader, reader_of
from seqlens.data.labelled.records import LabelledText
from seqlens.data.split_corpus import (
    Fraction,
    FractionOrNone,
    SplitCorpus,
    check_fractions,
    complete_splits,
    find_card,
    named_files,
    no_such_data,
    open_card,
)
from seqlens.data.splitting import TRAIN
from seqlens.errors import RequestError

_NOUN = ("text", "texts")
Part = Callable[[], Iterable[LabelledText]]


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Texts with a label each.

    `path` is a name of the catalogue, a file, or a folder with `train`, `validation` (or `dev`, `valid`) and `test` as
    files or as folders of class folders; or the files are named one by one. Without validation that is held out
    from train by a hash of the texts, and test, too, if it is missing.

    `format`: `lines` (the label, a space, the text), `tsv` and `csv` (`text_column` and `label_column`, counted from 0
    or by the name in the header), `jsonl` (`text_key`, `label_key`), `trees` (phrase trees in brackets), `folders` (a
    folder a class, a file a text), `class_files` (a file a class, a line a text; the file's ending is the label), or
    `auto`, which goes by the ending. `encoding` is for `class_files`; all else is UTF-8.

    `fold`: k-fold cross-validation. By a hash of its text each example of the file or of train belongs to one of
    `num_folds` folds; fold `fold`, counted from 0, is then the test split, and
    `validation_fraction` of the others is for validation. Each `fold_seed` cuts other folds.

    `phrases`: of trees, train on every phrase, each once. `drop_held_out`: texts of train that stand in another split,
    too, are left out of train, and of trees all their phrases. `labels` renames labels; with null, texts of that label
    are left out; labels not named stay as they are. `train_labels`: the same for train, in place of `labels`, where
    more is to be learnt than is asked: see `answers` of the task.
    """

    kind: Literal["labelled"] = "labelled"
    path: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    format: Format = "auto"
    text_column: Annotated[int, Field(ge=0)] | str = 0
    label_column: Annotated[int, Field(ge=0)] | str = 1
    header: bool | None = None
    """Of a table whose columns are counted, whether its first line is a header; null refuses one that looks like it."""
    text_key: str = "text"
    label_key: str = "label"
    phrases: bool = False
    drop_held_out: bool = False
    labels: dict[str, str | None] = field(default_factory=dict)
    train_labels: dict[str, str | None] | None = None
    validation_fraction: Fraction = 0.1
    test_fraction: FractionOrNone = 0.1
    fold: Annotated[int, Field(ge=0)] | None = None
    num_folds: Annotated[int, Field(ge=3)] = 10
    fold_seed: Annotated[int, Field(ge=0)] = 0
    encoding: Literal["utf-8", "latin-1"] = "utf-8"

    def __post_init__(self) -> None:
        check_fractions(self.validation_fraction, self.test_fraction)
        check_fold(self.fold, self.num_folds)
        if self.header is False and (isinstance(self.text_column, str) or isinstance(self.label_column, str)):
            raise ValueError(
                "'header' is false, but 'text_column' or 'label_column' is a name, which only a header has"
            )


def fingerprint_labelled(examples: Iterable[LabelledText]) -> str:
    """The SHA-256 of texts and labels, each after its length in bytes."""
    digest = hashlib.sha256()
    for example in examples:
        for part in (example.text, example.label):
            data = part.encode()
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def open_labelled(config: LabelledData, *, base: Path, announce: Announce | None = None) -> SplitCorpus[LabelledText]:
    """Opens a corpus; relative paths are taken from `base`.

    Raises:
        RequestError: a path or a choice of files does not fit. WorkError: a download failed.
    """
    name, readers = _open_readers(config, base, announce)
    phrases = None
    if config.phrases and TRAIN in readers:
        # Splits are cut by whole sentences: a phrase of a sentence that is held out is not learnt from.
        phrases = readers[TRAIN]
        readers = {**readers, TRAIN: _open_readers(replace(config, phrases=False), base, None)[1][TRAIN]}
    whole: dict[str, Part] = {split: partial(reader, ()) for split, reader in readers.items()}
    if config.fold is not None:
        if TRAIN not in whole:
            raise RequestError(f"'fold' is given, but {name} has no training {_NOUN[1]} to cut into folds.")
        parts, whole = cut_folds(whole[TRAIN], _text_of, config), {}
    else:
        corpus = SplitCorpus(name, whole, fingerprint_labelled, _NOUN)
        parts = dict(complete_splits(corpus, config, key=_text_of).readers)
    if phrases is not None:
        cut_off = [part for split, part in parts.items() if split not in (TRAIN, *whole)]
        parts[TRAIN] = partial(_read_rest, phrases, cut_off)
    return SplitCorpus(name, _renamed(parts, config), fingerprint_labelled, _NOUN)


def _open_readers(config: LabelledData, base: Path, announce: Announce | None) -> tuple[str, dict[str, Reader]]:
    """The name of the data, and the readers of the splits that they have themselves."""
    name, readers = _open_path(config, base, announce)
    readers |= {split: _reader(path, config, split) for split, path in named_files(config, base, folders=True).items()}
    if config.drop_held_out and TRAIN in readers:
        readers[TRAIN] = without_held_out(readers)
    return name, readers


def _read_rest(reader: Reader, held_out: Iterable[Part]) -> Iterable[LabelledText]:
    """What a reader has but for what is held out."""
    return reader({example.text for part in held_out for example in part()})


def _text_of(example: LabelledText) -> str:
    return example.text


def _renamed(parts: Mapping[str, Part], config: LabelledData) -> dict[str, Part]:
    """The same splits with their labels renamed; after they were cut, as train may have names of its own."""

    def read(part: Part, labels: Mapping[str, str | None]) -> Iterator[LabelledText]:
        for example in part():
            label = labels.get(example.label, example.label)
            if label is not None:
                yield example if label == example.label else replace(example, label=label)

    names: dict[str, Mapping[str, str | None]] = dict.fromkeys(parts, config.labels)
    if config.train_labels is not None:
        names[TRAIN] = config.train_labels
    return {split: partial(read, part, names[split]) for split, part in parts.items()}


def _open_path(config: LabelledData, base: Path, announce: Announce | None) -> tuple[str, dict[str, Reader]]:
    if config.path is None:
        return "files", {}
    card = find_card(config.path)
    if card is not None:
        return card.name, _open_card(card, config, announce)
    path = base / config.path
    if path.is_file():
        return config.path, {TRAIN: _reader(path, config, TRAIN)}
    if path.is_dir():
        return config.path, _open_folder(path, config)
    raise no_such_data(config.path, path)


def _open_folder(path: Path, config: LabelledData) -> dict[str, Reader]:
    if config.format == "class_files":
        splits = split_files(path)
        for file in splits.values():
            if not file.is_dir():
                raise RequestError(
                    f"{file} is named after a split, but with 'format: class_files' a split is a folder, with a file "
                    "for each class: train/reviews.pos, train/reviews.neg, test/reviews.pos, …"
                )
        return {split: _reader(folder, config, split) for split, folder in (splits or {TRAIN: path}).items()}
    found = split_files(path)
    if config.format == "folders" and not has_class_folders(found.get(TRAIN)) and find_class_folders(path):
        check_split_names(path, found)
        return {TRAIN: _reader(path, config, TRAIN)}
    # Beside a file with the training texts, a folder of texts is no class.
    if config.format == "auto" and TRAIN not in found and find_class_folders(path):
        return {TRAIN: _reader(path, config, TRAIN)}
    if not found:
        there = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "nothing"
        raise RequestError(
            f"The folder {path} has neither splits (train.tsv, train.jsonl, train.txt, train/…) nor a folder for each "
            f"class with text files in it; it holds {there}."
        )
    return {split: _reader(file, config, split) for split, file in found.items()}


def _open_card(card: ExampleCard, config: LabelledData, announce: Announce | None) -> dict[str, Reader]:
    of_splits = open_card(card, "labelled", announce)
    settings = replace(config, **card.options)  # type: ignore[arg-type]
    if settings.format == "class_files":
        return {split: class_files_reader(files, settings.encoding) for split, files in of_splits.items()}
    return {split: _reader(files[0], settings, split) for split, files in of_splits.items()}


def _reader(path: Path, config: LabelledData, split: str) -> Reader:
    if config.format == "class_files" and path.is_dir():
        files = visible_files(path)
        if not files:
            raise RequestError(f"The folder {path} has no file in it, expected one for each class.")
        return class_files_reader(files, config.encoding)
    return reader_of(
        path,
        config.format,
        columns=(config.text_column, config.label_column),
        keys=(config.text_key, config.label_key),
        # Only what is learnt from may be cut up: a score is of whole sentences.
        phrases=config.phrases and split == TRAIN,
        header=config.header,
    )
