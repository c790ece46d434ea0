"""The catalogue: a card a data set, with its licence, its place, its checksums, its splits and how to read
it.

A card is a JSON file in the folder `cards` beside this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from seqlens.errors import RequestError, did_you_mean


@dataclass(frozen=True, slots=True)
class CardFile:
    """A file of a data set.

    `size` and `sha256` are those of the mirror form. What is verified is `content_sha256`, of the unpacked
    text, so that a file which was only packed anew is still the same file. `member` names the text inside a
    zip archive. `public_name` is what the file is called where it is published, if that is something else.
    """

    name: str
    size: int
    sha256: str
    content_sha256: str
    member: str | None = None
    public_name: str | None = None


@dataclass(frozen=True, slots=True)
class CardSplit:
    """A split: its number of pairs, and for each language it has the file and the fingerprint of the
    sentences.
    """

    name: str
    num_pairs: int
    files: dict[str, str]
    fingerprints: dict[str, str]


@dataclass(frozen=True, slots=True)
class PairedReader:
    """Line N of one language's file translates line N of another's."""

    kind: Literal["paired"] = "paired"


@dataclass(frozen=True, slots=True)
class HashedTsvReader:
    """One file of tab-separated values with a column a language, split by a hash of the sentences of
    `split_by`.
    """

    columns: dict[str, int]
    split_by: str
    validation_fraction: float
    test_fraction: float
    kind: Literal["hashed-tsv"] = "hashed-tsv"


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a data set. `direction` is the source and target taken when none is asked for.

    The public form of a file is at `base_url` followed by its name; None where only a mirror has the files.
    `mirror` is their folder below the one that SEQLENS_MIRROR names.
    """

    name: str
    title: str
    summary: str
    task: Literal["classify", "tag", "generate", "transduce"]
    languages: tuple[str, ...]
    direction: tuple[str, str]
    licence: str
    published: str
    base_url: str | None
    mirror: str
    mirror_form: str
    reader: PairedReader | HashedTsvReader
    files: tuple[CardFile, ...]
    splits: tuple[CardSplit, ...]

    def splits_for(self, source: str, target: str) -> tuple[CardSplit, ...]:
        """Returns the splits that have both languages."""
        return tuple(split for split in self.splits if source in split.files and target in split.files)

    def files_for(self, source: str, target: str) -> tuple[CardFile, ...]:
        """Returns the files that a direction needs."""
        needed = {split.files[language] for split in self.splits_for(source, target) for language in (source, target)}
        return tuple(file for file in self.files if file.name in needed)


def catalogue_names() -> tuple[str, ...]:
    """Returns the names of all data sets in the catalogue, sorted."""
    folder = resources.files("seqlens.data") / "cards"
    return tuple(sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")))


def no_such_card(name: str, names: Sequence[str]) -> RequestError:
    """What a person is told who asks for a data set that is none of `names`."""
    return RequestError(
        f"The catalogue has no data set '{name}', expected one of {', '.join(names)}.{did_you_mean(name, names)}"
    )


def read_card(name: str) -> Card:
    """Returns the card of a data set. Raises RequestError for a name the catalogue does not have."""
    from pydantic import TypeAdapter

    names = catalogue_names()
    if name not in names:
        raise no_such_card(name, names)
    text = (resources.files("seqlens.data") / "cards" / f"{name}.json").read_bytes()
    return TypeAdapter(Card).validate_json(text)
