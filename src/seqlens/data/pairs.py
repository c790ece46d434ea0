"""A corpus of pairs of texts: from the catalogue, from a folder, from files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, final

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from seqlens.data.catalogue import Card, HashedTsvReader, catalogue_names, read_card
from seqlens.data.documents import ContextConfig, group_documents, with_context
from seqlens.data.download import Announce, fetch_files
from seqlens.data.examples import Pair
from seqlens.data.fingerprints import fingerprint_pairs
from seqlens.data.pair_files import (
    Columns,
    PairFiles,
    TextFiles,
    TsvFile,
    choose_languages,
    complete_direction,
    file_names,
    open_single,
    read_pairs,
    scan_folder,
)
from seqlens.data.readers import FaultHandler, ReadFault
from seqlens.data.splits import unknown_split
from seqlens.data.splitting import TEST, TRAIN, VALIDATION, HashRule, find_rule
from seqlens.errors import RequestError, did_you_mean_data


@dataclass(frozen=True, slots=True)
class FilePair:
    """Two text files, line N of one translating line N of the other."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class PairsData:
    """Pairs of texts from the catalogue or from files; relative paths are taken from the recipe's folder.

    `path` is a name of the catalogue, a folder (`train.de` and `train.en`, or `train.tsv`, or `train.jsonl`,
    and so on for the other splits) or one .tsv or .jsonl file, which is then split by a hash of the sentence on
    the side `split_by`. A name of the catalogue comes before a folder of that name (`./multi30k` is the folder).
    `source` and `target` are the languages: endings of the text files. `train`, `validation` and `test` name
    files that take the place of those found by `path`, or make it needless. A missing validation split is
    held out from train, `validation_fraction` of its different sentences on that side, by the same hash.
    Columns are counted from zero. Data that runs of both directions learn from should be split by one language.

    With `context`, sources are given the sentences before them in their document. A document ends at a line that is
    empty on both sides (text files), or where the column `document_column` (.tsv) or the key `document_key` (.jsonl)
    changes; a split by a hash then keeps documents whole, by their first sentence.
    """

    kind: Literal["pairs"] = "pairs"
    path: str | None = None
    source: str | None = None
    target: str | None = None
    train: str | FilePair | None = None
    validation: str | FilePair | None = None
    test: str | FilePair | None = None
    source_column: Annotated[int, Field(ge=0)] = 0
    target_column: Annotated[int, Field(ge=0)] = 1
    source_key: str = "source"
    target_key: str = "target"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.02
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.02
    split_by: Literal["source", "target"] = "source"
    context: ContextConfig | None = None
    document_column: Annotated[int, Field(ge=0)] | None = None
    document_key: str = "document"


@dataclass(frozen=True, slots=True)
class SplitSource:
    """The pairs of a split: all those in files, or those of them that a rule gives to `part` by one of their
    sides.
    """

    files: PairFiles
    rule: HashRule | None = None
    part: str = TRAIN
    by_target: bool = False
    context: int = 0

    def read(self, on_fault: FaultHandler | None = None) -> Iterator[Pair]:
        """Yields the pairs of the split."""
        if self.context:
            yield from self._read_documents(on_fault)
            return
        for pair in read_pairs(self.files, on_fault=on_fault):
            if self.rule is None or self.rule.split_of(_side(pair, self.by_target)) == self.part:
                yield pair

    def _read_documents(self, on_fault: FaultHandler | None) -> Iterator[Pair]:
        for document in group_documents(read_pairs(self.files, on_fault=on_fault)):
            if self.rule is None or self.rule.split_of(_side(document[0], self.by_target)) == self.part:
                yield from with_context(document, self.context)


@final
@dataclass(frozen=True, slots=True)
class PairsCorpus:
    """A corpus in files; see `open_corpus`."""

    name: str
    source_name: str
    target_name: str
    sources: dict[str, SplitSource]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.sources)

    def read(self, split: str) -> Iterator[Pair]:
        return self._source(split).read()

    def scan(self, split: str, on_fault: FaultHandler) -> Iterator[Pair]:
        """Reads a split as `read` does, but tells `on_fault` of a fault and goes on."""
        return self._source(split).read(on_fault)

    def files(self, split: str) -> tuple[str, str]:
        """Returns the file that the split's sources and the file that its targets are read from."""
        return file_names(self._source(split).files)

    def fingerprint(self, split: str) -> str:
        return fingerprint_pairs(self.read(split))

    @property
    def context_sentences(self) -> int:
        return max((source.context for source in self.sources.values()), default=0)

    def repeats(self) -> Float64[np.ndarray, "pairs"] | None:
        return None

    def _source(self, split: str) -> SplitSource:
        if split not in self.sources:
            raise unknown_split(split, f"{self.name} ({self.source_name} to {self.target_name})", self.splits)
        return self.sources[split]


def open_pairs(
    config: PairsData,
    *,
    base: Path,
    require_train: bool = True,
    announce: Announce | None = None,
    train_only: bool = False,
) -> PairsCorpus:
    """Opens a corpus of pairs; see `open_corpus`. With `train_only` nothing is held out, and there are no other splits.

    Raises:
        RequestError: a path, a language or a choice of files does not fit. WorkError: a download failed.
    """
    if config.validation_fraction <= 0 or config.validation_fraction + config.test_fraction >= 1:
        raise RequestError(
            f"'validation_fraction' is {config.validation_fraction} and 'test_fraction' is {config.test_fraction}, "
            "expected a validation fraction above 0 and a sum below 1."
        )
    for side, other in (("source_column", "target_column"), ("source_key", "target_key")):
        if getattr(config, side) == getattr(config, other):
            raise RequestError(f"'{side}' and '{other}' are both {getattr(config, side)}, expected two different ones.")
    corpus = _open_path(config, base, require_train, announce, train_only=train_only)
    sources = dict(corpus.sources)
    for split, given in ((TRAIN, config.train), (VALIDATION, config.validation), (TEST, config.test)):
        if given is not None:
            sources[split] = SplitSource(_open_given(split, given, config, base))
    if not sources:
        raise RequestError(
            "The data have none of 'path', 'train', 'validation' and 'test', expected 'path' or 'train'."
        )
    if train_only and TRAIN in sources:
        sources = {TRAIN: replace(sources[TRAIN], rule=None)}
    elif TRAIN in sources and VALIDATION not in sources:
        sources |= _split_by_hash(sources[TRAIN].files, config.validation_fraction, 0.0, config)
    if require_train and TRAIN not in sources:
        raise RequestError(f"{corpus.name} has no training pairs, only {', '.join(sources)}.")
    if config.context is not None:
        sources = {split: replace(source, context=config.context.sentences) for split, source in sources.items()}
    first = [split for split in (TRAIN, VALIDATION, TEST) if split in sources]
    return replace(corpus, sources={split: sources[split] for split in [*first, *sorted(set(sources) - set(first))]})


def _open_path(
    config: PairsData, base: Path, require_train: bool, announce: Announce | None, *, train_only: bool
) -> PairsCorpus:
    """Returns what `path` alone gives."""
    if config.path is None:
        return PairsCorpus("files", config.source or "source", config.target or "target", {})
    if config.path in catalogue_names():
        if config.context is not None:
            raise RequestError(
                f"'context' is given, but {config.path} has no documents: its sentences stand alone. "
                "Expected data of your own, with documents told apart."
            )
        return _open_card(read_card(config.path), config, announce)
    path = base / config.path
    if path.is_dir():
        return _open_folder(path, config, require_train)
    if path.is_file():
        return _open_file(path, config, train_only=train_only)
    names = catalogue_names()
    raise RequestError(
        f"There is no data set, file or folder '{config.path}': {path} is not there, and the catalogue has "
        f"{', '.join(names)}.{did_you_mean_data(config.path, names, path)}"
    )


def _open_card(card: Card, config: PairsData, announce: Announce | None) -> PairsCorpus:
    source, target = card_direction(card, config)
    folder = fetch_files(card, card.files_for(source, target), announce=announce)
    sources = {}
    for split in card.splits_for(source, target):
        path = folder / split.files[source]
        if isinstance(card.reader, HashedTsvReader):
            reader = card.reader
            member = next(file.member for file in card.files if file.name == split.files[source])
            sources[split.name] = SplitSource(
                TsvFile(path, reader.columns[source], reader.columns[target], member),
                HashRule.of_fractions(reader.validation_fraction, reader.test_fraction),
                part=split.name,
                by_target=reader.split_by == target,
            )
        else:
            sources[split.name] = SplitSource(TextFiles(path, folder / split.files[target]))
    return PairsCorpus(card.name, source, target, sources)


def card_direction(card: Card, config: PairsData) -> tuple[str, str]:
    """Returns the languages that a data set of the catalogue is read in: those named, or its own."""
    if config.source is None and config.target is None:
        return card.direction
    return complete_direction(card.languages, config.source, config.target, where=card.name)


def _open_folder(path: Path, config: PairsData, require_train: bool) -> PairsCorpus:
    folder = scan_folder(path)
    source, target = choose_languages(folder, config.source, config.target)
    found = folder.splits(source, target, _columns(config))
    if config.train is None and (TRAIN not in found if require_train else not found):
        name = TRAIN if require_train else TEST
        there = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "nothing"
        raise RequestError(
            f"The folder {path} has no {'training pairs' if require_train else 'pairs of a test'}, expected "
            f"{name}.{source} and {name}.{target}, or {name}.tsv, or {name}.jsonl (each also with .gz); "
            f"it holds {there}."
        )
    sources = {split: SplitSource(files) for split, files in found.items()}
    return PairsCorpus(str(config.path), source, target, sources)


def _open_file(path: Path, config: PairsData, *, train_only: bool) -> PairsCorpus:
    if config.train is not None:
        raise RequestError(f"'path' is the file {path} and 'train' is given too, expected one of them.")
    files = open_single(path, _columns(config))
    languages = (config.source or "source", config.target or "target")
    if train_only:
        return PairsCorpus(str(config.path), *languages, {TRAIN: SplitSource(files)})
    sources = _split_by_hash(
        files,
        config.validation_fraction if config.validation is None else 0.0,
        config.test_fraction if config.test is None else 0.0,
        config,
    )
    return PairsCorpus(str(config.path), *languages, sources)


def _open_given(split: str, given: str | FilePair, config: PairsData, base: Path) -> PairFiles:
    names = (given,) if isinstance(given, str) else (given.source, given.target)
    for name in names:
        if not (base / name).is_file():
            raise RequestError(f"There is no file {base / name}, which '{split}' names.")
    if isinstance(given, str):
        return open_single(base / given, _columns(config))
    return TextFiles(base / given.source, base / given.target)


def _split_by_hash(
    files: PairFiles, validation_fraction: float, test_fraction: float, config: PairsData
) -> dict[str, SplitSource]:
    faults: list[ReadFault] = []  # told when the split is read, or by the audit; here they only explain an empty file
    pairs = read_pairs(files, on_fault=faults.append)
    context, by_target = config.context is not None, config.split_by == "target"
    # Documents stay whole, so it is their first sentences that are split.
    chosen = (document[0] for document in group_documents(pairs)) if context else pairs
    sentences = (_side(pair, by_target) for pair in chosen)
    rule = find_rule(sentences, validation_fraction=validation_fraction, test_fraction=test_fraction)
    sources = {TRAIN: SplitSource(files, rule, TRAIN, by_target)}
    if rule.validation_end:
        sources[VALIDATION] = SplitSource(files, rule, VALIDATION, by_target)
    elif validation_fraction:
        if faults:
            raise RequestError(faults[0].message)
        what = "document (their ends are not told)" if context else f"{config.split_by} sentence"
        raise RequestError(
            f"{file_names(files)[0]} has too few pairs to hold some out for validation. It has one {what} only."
        )
    if rule.test_end > rule.validation_end:
        sources[TEST] = SplitSource(files, rule, TEST, by_target)
    return sources


def _side(pair: Pair, by_target: bool) -> str:
    return (pair.target or "") if by_target else pair.source


def _columns(config: PairsData) -> Columns:
    if config.context is None:
        return Columns(config.source_column, config.target_column, config.source_key, config.target_key)
    return Columns(
        config.source_column,
        config.target_column,
        config.source_key,
        config.target_key,
        config.document_column,
        config.document_key,
        has_documents=True,
    )
