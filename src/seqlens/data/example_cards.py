"""The catalogue's data sets of examples: a card each, as `catalogue` has them for pairs."""

from dataclasses import dataclass, field
from importlib import resources
from typing import Literal

from seqlens.data.catalogue import CardFile, no_such_card


@dataclass(frozen=True, slots=True)
class ExampleSplit:
    """A split: the files that its records are read from, and how many records these are."""

    name: str
    files: tuple[str, ...]
    num_examples: int
    fingerprint: str
    """That of the decoded records."""


@dataclass(frozen=True, slots=True)
class ExampleCard:
    """What is known of a data set of examples.

    `kind` is the kind of data whose reader reads it, `options` are that reader's settings. The public form of a file
    is at `base_url` followed by its name; None where only a mirror has the files. `mirror` is their folder below the
    one that SEQLENS_MIRROR names.
    """

    name: str
    title: str
    summary: str
    task: Literal["classify", "tag", "mark", "generate"]
    kind: str
    licence: str
    published: str
    base_url: str | None
    mirror: str
    mirror_form: str
    files: tuple[CardFile, ...]
    splits: tuple[ExampleSplit, ...]
    options: dict[str, str | int | bool] = field(default_factory=dict)

    def split(self, name: str) -> ExampleSplit:
        """The split of that name; KeyError if there is none."""
        return {split.name: split for split in self.splits}[name]


def example_card_names() -> tuple[str, ...]:
    """Returns the names of all data sets of examples in the catalogue, sorted."""
    return tuple(sorted(entry.removesuffix(".json") for entry in _entries() if entry.endswith(".json")))


def read_example_card(name: str) -> ExampleCard:
    """Returns the card of a data set.

    Raises:
        RequestError: the catalogue has no data set of examples of that name.
    """
    from pydantic import TypeAdapter

    names = example_card_names()
    if name not in names:
        raise no_such_card(name, names)
    text = (resources.files("seqlens.data") / "cards" / "examples" / f"{name}.json").read_bytes()
    return TypeAdapter(ExampleCard).validate_json(text)


def _entries() -> list[str]:
    folder = resources.files("seqlens.data") / "cards" / "examples"
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
