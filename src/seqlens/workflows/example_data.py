"""Data of a task that learns from examples by a name, a path or a recipe, before there is a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from seqlens.config import apply_overrides, parse_config
from seqlens.data.catalogue import catalogue_names
from seqlens.data.data_config import TASK_OF_DATA, DataConfig, ExampleDataConfig
from seqlens.data.example_cards import example_card_names, read_example_card
from seqlens.errors import RequestError, did_you_mean, did_you_mean_data
from seqlens.training.run_config import RunConfig
from seqlens.workflows.recipe_config import resolve_recipe
from seqlens.workflows.recipes import is_recipe, list_recipes

EXAMPLE_TASKS = ("classify", "tag", "mark", "generate")
GENERATED = ("moods", "people", "genes", "names", "prose")
"""Kinds of data that are made where they are needed."""
_READ_AS = {"classify": "labelled", "tag": "spans", "mark": "dna", "generate": "text"}


@dataclass(frozen=True, slots=True)
class NamedData:
    """Data, the task they are for, and the recipe that names them, if one does."""

    config: ExampleDataConfig
    task: str
    recipe: RunConfig | None = None


def find_example_data(name_or_path: str, *, kind: str | None = None, settings: Sequence[str] = ()) -> NamedData | None:
    """The data that somebody means, or None where they are pairs of texts.

    Args:
        name_or_path: a recipe, a data set of the catalogue, one that is generated, a folder or a file.
        kind: the task that a folder or file is for.
        settings: of the data, such as `text_column=1`.

    Raises:
        RequestError: there is nothing of that name, or it is not for that task, or a setting is wrong.
    """
    if kind is not None and kind not in (*EXAMPLE_TASKS, "transduce"):
        known = ("transduce", *EXAMPLE_TASKS)
        raise RequestError(f"--kind is '{kind}', expected one of {', '.join(known)}.{did_you_mean(kind, known)}")
    if is_recipe(name_or_path):
        _, recipe = resolve_recipe(name_or_path, [f"data.{setting}" for setting in settings])
        if recipe.learns_from_pairs:
            if kind not in (None, "transduce"):
                raise RequestError(f"{name_or_path} is for the task 'transduce', but --kind is '{kind}'.")
            return None
        return _fitting(NamedData(recipe.example_data, recipe.task.kind, recipe), kind, name_or_path)
    tree: dict[str, Any]
    if name_or_path in example_card_names():
        tree = {"kind": read_example_card(name_or_path).kind, "path": name_or_path}
    elif name_or_path in GENERATED:
        tree = {"kind": name_or_path}
    elif kind in EXAMPLE_TASKS:
        if not Path(name_or_path).exists():
            raise _nothing_there(name_or_path)
        tree = {"kind": _READ_AS[kind], "path": name_or_path}
    else:
        return None
    config = cast(ExampleDataConfig, parse_config(DataConfig, apply_overrides(tree, settings), where="the data"))
    return _fitting(NamedData(config, TASK_OF_DATA[config.kind]), kind, name_or_path)


def _fitting(found: NamedData, kind: str | None, name: str) -> NamedData:
    if kind is not None and kind != found.task:
        raise RequestError(f"{name} is for the task '{found.task}', but --kind is '{kind}'.")
    return found


def _nothing_there(name: str) -> RequestError:
    names = [*example_card_names(), *GENERATED]
    others = [*catalogue_names(), *(recipe.name for recipe in list_recipes())]
    near = did_you_mean_data(name, [*names, *others], Path(name))
    return RequestError(
        f"There is no data set, folder or file '{name}', the data sets of examples are {', '.join(names)}.{near}"
    )
