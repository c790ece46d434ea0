"""A corpus: named splits of pairs, from the catalogue, a folder, files, or the generator of dates."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from seqlens.data.dates import DATE_SPLITS, DatesData, generate_dates
from seqlens.data.download import Announce
from seqlens.data.examples import Pair
from seqlens.data.fingerprints import fingerprint_pairs
from seqlens.data.mixture import MixtureCorpus, MixtureData, MixturePart, PartCorpus, name_parts
from seqlens.data.pairs import FilePair, PairsCorpus, PairsData, open_pairs
from seqlens.data.pronouns import PRONOUN_SPLITS, PronounsData, generate_pronouns
from seqlens.data.splits import Corpus, unknown_split

__all__ = [
    "Corpus",
    "DataConfig",
    "DatesCorpus",
    "FilePair",
    "MixtureData",
    "MixturePart",
    "PairsCorpus",
    "PairsData",
    "PronounsCorpus",
    "PronounsData",
    "open_corpus",
]

DataConfig = Annotated[PairsData | DatesData | PronounsData | MixtureData, Field(discriminator="kind")]


@final
@dataclass(frozen=True, slots=True)
class DatesCorpus:
    """Generated dates, see `seqlens.data.dates`."""

    config: DatesData
    name: str = "dates"
    source_name: str = "date"
    target_name: str = "iso"
    splits: tuple[str, ...] = DATE_SPLITS

    def read(self, split: str) -> Iterator[Pair]:
        if split not in self.splits:
            raise unknown_split(split, self.name, self.splits)
        return generate_dates(self.config, split)

    def fingerprint(self, split: str) -> str:
        return fingerprint_pairs(self.read(split))

    @property
    def context_sentences(self) -> int:
        return 0

    def repeats(self) -> Float64[np.ndarray, "pairs"] | None:
        return None


@final
@dataclass(frozen=True, slots=True)
class PronounsCorpus:
    """Generated documents, see `seqlens.data.pronouns`."""

    config: PronounsData
    name: str = "pronouns"
    source_name: str = "en"
    target_name: str = "fr"
    splits: tuple[str, ...] = PRONOUN_SPLITS

    def read(self, split: str) -> Iterator[Pair]:
        if split not in self.splits:
            raise unknown_split(split, self.name, self.splits)
        return generate_pronouns(self.config, split)

    def fingerprint(self, split: str) -> str:
        return fingerprint_pairs(self.read(split))

    @property
    def context_sentences(self) -> int:
        return 0 if self.config.context is None else self.config.context.sentences

    def repeats(self) -> Float64[np.ndarray, "pairs"] | None:
        return None


def open_corpus(
    config: PairsData | DatesData | PronounsData | MixtureData,
    *,
    base: Path,
    require_train: bool = True,
    announce: Announce | None = None,
) -> Corpus:
    """Opens a corpus; relative paths are taken from `base`. Files of the catalogue are fetched if they are
    not there.

    `require_train=False` also opens what has a test split only. `announce` is told of downloads, a line each.
    Raises RequestError for a path, a language or a choice of files that does not fit, WorkError for a failed
    download.
    """
    match config:
        case PairsData():
            return open_pairs(config, base=base, require_train=require_train, announce=announce)
        case DatesData():
            return DatesCorpus(config)
        case PronounsData():
            return PronounsCorpus(config)
        case MixtureData():
            names = name_parts(config)
            parts = [_open_part(part, name, base, announce) for part, name in zip(config.parts, names, strict=True)]
            return MixtureCorpus.of(parts, config.validation)


def _open_part(part: MixturePart, name: str, base: Path, announce: Announce | None) -> PartCorpus:
    corpus: Corpus
    if isinstance(part.data, PairsData):
        corpus = open_pairs(part.data, base=base, announce=announce, train_only=part.train_only)
    else:
        corpus = open_corpus(part.data, base=base, announce=announce)
    direction: tuple[str, ...] = (corpus.source_name, corpus.target_name)
    if isinstance(part.data, PairsData) and part.data.source is None and part.data.target is None:
        columns = (part.data.source_column, part.data.target_column)
        direction += (*map(str, columns), part.data.source_key, part.data.target_key)
    return PartCorpus(name, corpus, part.weight, part.tag_name, part.train_only, direction)
