"""A corpus of texts with marked spans: from the catalogue, files, or a folder."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import Field

from seqlens.data.download import Announce, fetch_files
from seqlens.data.example_cards import ExampleCard, example_card_names, read_example_card
from seqlens.data.folds import check_fold, cut_folds
from seqlens.data.labelled.folders import split_files
from seqlens.data.splits import unknown_split
from seqlens.data.splitting import TEST, TRAIN, VALIDATION, HashRule, find_rule
from seqlens.data.tagged.conll import Columns, read_conll
from seqlens.data.tagged.records import TaggedText, fingerprint_tagged
from seqlens.data.tagged.schemes import Scheme
from seqlens.data.tagged.span_lines import read_span_lines
from seqlens.data.tagged.words import TokenRule
from seqlens.errors import RequestError, did_you_mean


@dataclass(frozen=True, slots=True)
class SpansData:
    """Sentences whose entities are marked.

    `path` is a name of the catalogue, a file, or a folder with the files `train`, `validation` (or `dev`, `valid`) and
    `test`; or the files are named one by one. What has no validation or test split is split by a hash of its texts.

    `format`: `conll` (columns: a token a line with its tag, a blank line between sentences) or `jsonl` (a text a line
    with character spans); `auto` goes by the ending: `.jsonl`, and columns for all others.

    Of columns: `token_column` and `tag_column` are counted from 0, or from the last, -1, backwards; `separator` stands
    between them, null for any blanks and tabs; `scheme` is that of the tags. Of JSON Lines: `text_key`, `entities_key`,
    and how texts are cut into `tokens`.

    `fold`: k-fold cross-validation. By a hash of its text each sentence of the file or of train belongs to one of
    `num_folds` folds, other ones for each `fold_seed`; fold `fold`, counted from 0, is then the test split, and the
    next one (the first after the last) is for validation.

    `repair` reads what breaks the rules as well as it can, instead of refusing it: see the two readers.
    """

    kind: Literal["spans"] = "spans"
    path: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    format: Literal["auto", "conll", "jsonl"] = "auto"
    token_column: int = 0
    tag_column: int = -1
    separator: Annotated[str, Field(min_length=1)] | None = None
    scheme: Scheme = "bio"
    join: Annotated[int, Field(ge=1)] = 1
    text_key: str = "text"
    entities_key: str = "entities"
    tokens: TokenRule = "words"
    repair: bool = False
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    fold: Annotated[int, Field(ge=0)] | None = None
    num_folds: Annotated[int, Field(ge=3)] = 10
    fold_seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        check_fold(self.fold, self.num_folds)
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("'validation_fraction' and 'test_fraction' must leave something to train on")


Reader = Callable[[], Iterable[TaggedText]]


@final
@dataclass(frozen=True, slots=True)
class SpansCorpus:
    """Texts with marked spans in files; see `open_spans`."""

    name: str
    readers: dict[str, Reader]
    noun: tuple[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.readers)

    def read(self, split: str) -> Iterator[TaggedText]:
        if split not in self.readers:
            raise unknown_split(split, self.name, self.splits)
        yield from self.readers[split]()

    def fingerprint(self, split: str) -> str:
        return fingerprint_tagged(self.read(split))


def open_spans(config: SpansData, *, base: Path, announce: Announce | None = None) -> SpansCorpus:
    """Opens a corpus; relative paths are taken from `base`.

    Raises:
        RequestError: a path or a choice of files does not fit. WorkError: a download failed.
    """
    name, readers = _open_path(config, base, announce)
    for split, given in ((TRAIN, config.train), (VALIDATION, config.validation), (TEST, config.test)):
        if given is not None:
            path = base / given
            if not path.is_file():
                raise RequestError(f"There is no file {path}, which '{split}' names.")
            readers[split] = _reader(path, config)
    if not readers:
        raise RequestError(
            "The data have none of 'path', 'train', 'validation' and 'test', expected 'path' or 'train'."
        )
    if TRAIN in readers and config.fold is not None:
        folds, seed = config.num_folds, config.fold_seed
        readers = cut_folds(readers[TRAIN], lambda one: one.text, fold=config.fold, num_folds=folds, seed=seed)
    elif TRAIN in readers and VALIDATION not in readers:
        readers |= _split(readers[TRAIN], config, name, with_test=TEST not in readers)
    return SpansCorpus(name, readers, ("text", "texts") if config.join > 1 else ("sentence", "sentences"))


def _open_path(config: SpansData, base: Path, announce: Announce | None) -> tuple[str, dict[str, Reader]]:
    if config.path is None:
        return "files", {}
    names = example_card_names()
    if config.path in names:
        card = read_example_card(config.path)
        return card.name, _open_card(card, config, announce)
    path = base / config.path
    if path.is_file():
        return config.path, {TRAIN: _reader(path, config)}
    if not path.is_dir():
        raise RequestError(
            f"There is no data set '{config.path}': {path} is neither a file nor a folder, and the catalogue has "
            f"{', '.join(names)}.{did_you_mean(config.path, names)}"
        )
    found = {split: file for split, file in split_files(path).items() if file.is_file()}
    if not found:
        there = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "nothing"
        raise RequestError(
            f"The folder {path} has no splits, expected train.conll, dev.conll and test.conll, or the like with "
            f"another ending or as .jsonl; it holds {there}."
        )
    return config.path, {split: _reader(file, config) for split, file in found.items()}


def _open_card(card: ExampleCard, config: SpansData, announce: Announce | None) -> dict[str, Reader]:
    if card.kind != "spans":
        raise RequestError(f"'{card.name}' is a data set of kind '{card.kind}', expected one of kind 'spans'.")
    folder = fetch_files(card, card.files, announce=announce)
    settings = replace(config, **card.options)  # type: ignore[arg-type]

    def joined(files: tuple[str, ...]) -> Reader:
        readers = [_reader(folder / file, settings) for file in files]
        return lambda: (example for reader in readers for example in reader())

    return {split.name: joined(split.files) for split in card.splits}


def _reader(path: Path, config: SpansData) -> Reader:
    by_ending = "jsonl" if path.name.removesuffix(".gz").endswith(".jsonl") else "conll"
    if (by_ending if config.format == "auto" else config.format) == "jsonl":
        return lambda: read_span_lines(
            path,
            text_key=config.text_key,
            entities_key=config.entities_key,
            tokens=config.tokens,
            repair=config.repair,
        )
    columns = Columns(config.token_column, config.tag_column, config.separator, config.scheme)
    return lambda: read_conll(path, columns, repair=config.repair, join=config.join)


def _split(train: Reader, config: SpansData, name: str, *, with_test: bool) -> dict[str, Reader]:
    rule = find_rule(
        (example.text for example in train()),
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction if with_test else 0.0,
    )
    if not rule.validation_end:
        raise RequestError(f"{name} has too few different sentences to hold some out for validation.")

    def part(split: str, rule: HashRule = rule) -> Reader:
        return lambda: (example for example in train() if rule.split_of(example.text) == split)

    parts = (TRAIN, VALIDATION, TEST) if rule.test_end > rule.validation_end else (TRAIN, VALIDATION)
    return {split: part(split) for split in parts}
