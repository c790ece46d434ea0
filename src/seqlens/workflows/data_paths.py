"""The files that a recipe names, as absolute paths: the run folder may move, and so may whoever reads it."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from seqlens.data.catalogue import catalogue_names
from seqlens.data.corpus import FilePair, MixtureData, PairsData
from seqlens.data.data_config import DataConfig
from seqlens.data.dna.corpus import AnnotatedFiles
from seqlens.data.example_cards import example_card_names
from seqlens.training.run_config import RunConfig

Data = TypeVar("Data", bound=DataConfig)
_FILE_FIELDS = ("path", "train", "validation", "test", "classes")
"""The settings, in every kind of data that has them, that name files."""


def with_absolute_paths(config: RunConfig, base: Path, written: DataConfig | None = None) -> RunConfig:
    """The recipe with its data files' paths made absolute, since the run folder may move.

    Paths that stand in the recipe (`written` is its data before any override) are taken from its folder `base`, those
    of an override from the working folder, where it was typed.
    """
    return replace(config, data=_absolute_data(config.data, base, written))


def _absolute_data(data: Data, base: Path, written: DataConfig | None) -> Data:
    """The same for the data alone, and for the parts of a mixture."""
    if isinstance(data, MixtureData):
        known = written.parts if isinstance(written, MixtureData) else ()
        # Without overrides nothing was typed; with them, what the recipe has not in that place was.
        typed = None if written is None else PairsData()
        befores = [known[place].data if place < len(known) else typed for place in range(len(data.parts))]
        return replace(
            data,
            parts=tuple(
                replace(part, data=_absolute_data(part.data, base, before))
                for part, before in zip(data.parts, befores, strict=True)
            ),
        )
    given = {field.name for field in fields(data)} & set(_FILE_FIELDS)

    def folder_of(name: str) -> Path:
        return base if written is None or getattr(data, name) == getattr(written, name, None) else Path()

    def absolute(name: str, path: str) -> str:
        return str((folder_of(name) / path).resolve())

    def resolved(name: str) -> Any:
        value: str | FilePair | AnnotatedFiles | dict[str, str] | None = getattr(data, name)
        if isinstance(value, FilePair):
            return FilePair(absolute(name, value.source), absolute(name, value.target))
        if isinstance(value, AnnotatedFiles):
            return AnnotatedFiles(absolute(name, value.sequences), absolute(name, value.genes))
        if isinstance(value, dict):
            return {label: absolute(name, file) for label, file in value.items()}
        if value is None or (name == "path" and value in (*catalogue_names(), *example_card_names())):
            return value
        return absolute(name, value)

    return replace(data, **{name: resolved(name) for name in given})
