"""A corpus of texts with marked spans: from the catalogue, files, or a folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.download import Announce
from seqlens.data.example_cards import ExampleCard
from seqlens.data.folds import check_fold, cut_folds
from seqlens.data.labelled.folders import split_files
from seqlens.data.split_corpus import (
    Fraction,
    FractionOrNone,
    Reader,
    SplitCorpus,
    check_fractions,
    complete_splits,
    find_card,
    named_files,
    no_such_data,
    open_card,
)
from seqlens.data.splitting import TRAIN
from seqlens.data.tagged.conll import Columns, read_conll
from seqlens.data.tagged.records import TaggedText, fingerprint_tagged
from seqlens.data.tagged.schemes import Scheme
from seqlens.data.tagged.span_lines import read_span_lines
from seqlens.data.tagged.words import TokenRule
from seqlens.errors import RequestError


@dataclass(frozen=True, slots=True)
class SpansData:
    """Sentences whose entities are marked.

    `path` is a name of the catalogue, a file, or a folder with the files `train`, `validation` (or `dev`, `valid`) and
    `test`; or the files are named one by one. Without validation that is held out from train by a hash of the texts,
    and test, too, if it is missing.

    `format`: `conll` (columns: a token a line with its tag, a blank line between sentences) or `jsonl` (a text a line
    with character spans); `auto` goes by the ending: `.jsonl`, and columns for all others.

    Of columns: `token_column` and `tag_column` are counted from 0, or from the last, -1, backwards; `separator` stands
    between them, null for any blanks and tabs; `scheme` is that of the tags. Of JSON Lines: `text_key`, `entities_key`,
    and how texts are cut into `tokens`.

    `fold`: k-fold cross-validation. By a hash of its text each sentence of the file or of train belongs to one of
    `num_folds` folds, other ones for each `fold_seed`; fold `fold`, counted from 0, is then the test split, and
    `validation_fraction` of the others is for validation.

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
    validation_fraction: Fraction = 0.1
    test_fraction: FractionOrNone = 0.1
    fold: Annotated[int, Field(ge=0)] | None = None
    num_folds: Annotated[int, Field(ge=3)] = 10
    fold_seed: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        check_fold(self.fold, self.num_folds)
        check_fractions(self.validation_fraction, self.test_fraction)


def open_spans(config: SpansData, *, base: Path, announce: Announce | None = None) -> SplitCorpus[TaggedText]:
    """Opens a corpus; relative paths are taken from `base`.

    Raises:
        RequestError: a path or a choice of files does not fit. WorkError: a download failed.
    """
    name, readers = _open_path(config, base, announce)
    readers |= {split: _reader(path, config) for split, path in named_files(config, base).items()}
    if TRAIN in readers and config.fold is not None:
        readers = cut_folds(readers[TRAIN], _text_of, config)
    noun = ("text", "texts") if config.join > 1 else ("sentence", "sentences")
    return complete_splits(SplitCorpus(name, readers, fingerprint_tagged, noun), config, key=_text_of)


def _text_of(example: TaggedText) -> str:
    return example.text


def _open_path(config: SpansData, base: Path, announce: Announce | None) -> tuple[str, dict[str, Reader[TaggedText]]]:
    if config.path is None:
        return "files", {}
    card = find_card(config.path)
    if card is not None:
        return card.name, _open_card(card, config, announce)
    path = base / config.path
    if path.is_file():
        return config.path, {TRAIN: _reader(path, config)}
    if not path.is_dir():
        raise no_such_data(config.path, path)
    found = {split: file for split, file in split_files(path).items() if file.is_file()}
    if not found:
        there = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "nothing"
        raise RequestError(
            f"The folder {path} has no splits, expected train.conll, dev.conll and test.conll, or the like with "
            f"another ending or as .jsonl; it holds {there}."
        )
    return config.path, {split: _reader(file, config) for split, file in found.items()}


def _open_card(card: ExampleCard, config: SpansData, announce: Announce | None) -> dict[str, Reader[TaggedText]]:
    of_splits = open_card(card, "spans", announce)
    settings = replace(config, **card.options)  # type: ignore[arg-type]

    def joined(files: list[Path]) -> Reader[TaggedText]:
        readers = [_reader(file, settings) for file in files]
        return lambda: (example for reader in readers for example in reader())

    return {split: joined(files) for split, files in of_splits.items()}


def _reader(path: Path, config: SpansData) -> Reader[TaggedText]:
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
