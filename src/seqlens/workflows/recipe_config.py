"""From a recipe's name or file and changes to the settings of a training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seqlens.config import load_config
from seqlens.config.plain import plain_value
from seqlens.data.data_config import DataConfig
from seqlens.errors import RequestError
from seqlens.training.run_config import RunConfig
from seqlens.workflows.data_paths import with_absolute_paths
from seqlens.workflows.recipes import find_recipe

Changes = Mapping[str, object] | Sequence[str]


def resolve_recipe(recipe: str | Path, overrides: Changes = ()) -> tuple[str, RunConfig]:
    """A recipe's name, and its settings with files by their absolute paths.

    Raises:
        RequestError: there is no such recipe, or its settings or `overrides` are not as they must be.
    """
    found = find_recipe(recipe)
    config = load_config(RunConfig, found.path, overrides)
    written = _written_data(found.path) if overrides else None
    if written is not None and config.description and written != config.data:
        # What it says of the data is no longer so; the run's README has it.
        config = replace(config, description=f"{config.description.rstrip('.')}; here with other data.")
    return found.name, with_absolute_paths(config, found.path.parent, written)


def join_changes(overrides: Changes, more: Mapping[str, object]) -> list[str]:
    """Changes of a recipe, and further ones after them, each as `path=value`."""
    given = [overrides] if isinstance(overrides, str) else overrides
    return [*(_items(given) if isinstance(given, Mapping) else given), *_items(more)]


def _items(changes: Mapping[str, object]) -> list[str]:
    # What is written as JSON is read as YAML.
    return [f"{path}={json.dumps(plain_value(value, ()), ensure_ascii=False)}" for path, value in changes.items()]


def _written_data(recipe: Path) -> DataConfig | None:
    """The data that a recipe names itself; None where only overrides make it a valid one."""
    try:
        return load_config(RunConfig, recipe).data
    except RequestError:
        return None
