"""Configurations: frozen dataclasses from YAML files, every fault told in a sentence with file and line.

A config is a dataclass whose fields are whole numbers, numbers, text, booleans, `Path`, `Literal[...]`, other
configs, unions of configs (told apart by a field `kind: Literal[...]`), tuples, lists, mappings with text
keys, or unions of these. `Annotated[int, annotated_types.Ge(1)]` sets a limit; a ValueError raised in a
`__post_init__` is told with the path of that config.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

from seqlens.config.override import Overrides, apply_overrides, override
from seqlens.config.plain import dump_config, plain_value, to_plain
from seqlens.config.reader import Reader
from seqlens.config.tree import Tree, read_tree
from seqlens.errors import RequestError

__all__ = ["apply_overrides", "dump_config", "load_config", "parse_config", "to_plain"]

T = TypeVar("T")
_NUM_FAULTS_SHOWN = 5


@overload
def load_config(cls: type[T], path: Path | str, overrides: Overrides = ()) -> T: ...
@overload
def load_config(cls: object, path: Path | str, overrides: Overrides = ()) -> Any: ...
def load_config(cls: Any, path: Path | str, overrides: Overrides = ()) -> Any:
    """Reads a YAML 1.2 file, changes single settings, and returns the config.

    Args:
        cls: a config dataclass, or a union `A | B` of them.
        path: the file.
        overrides: as for `apply_overrides`.

    Raises:
        RequestError: up to five faults, one sentence a line, each with file and line, or `--set path`.
    """
    return _read(cls, override(read_tree(Path(path)), overrides))


@overload
def parse_config(cls: type[T], value: Mapping[str, Any], *, where: str) -> T: ...
@overload
def parse_config(cls: object, value: Mapping[str, Any], *, where: str) -> Any: ...
def parse_config(cls: Any, value: Mapping[str, Any], *, where: str) -> Any:
    """Returns the config that plain values describe; the sentences of faults begin with `where`.

    Raises:
        RequestError: as `load_config`.
    """
    plain = {str(name): plain_value(item, (str(name),)) for name, item in value.items()}
    return _read(cls, Tree(plain, {(): where}))


def _read(cls: Any, tree: Tree) -> Any:
    reader = Reader(cls)
    config = reader.read(cls, tree.value, ())
    if not reader.faults:
        return config
    faults = sorted(reader.faults, key=lambda fault: tree.rank_of(fault.path))
    lines = [f"{tree.place_of(fault.path)}: {fault.text}" for fault in faults[:_NUM_FAULTS_SHOWN]]
    more = len(faults) - _NUM_FAULTS_SHOWN
    if more > 0:
        lines.append(f"There {'is 1 more fault' if more == 1 else f'are {more} more faults'}.")
    raise RequestError("\n".join(lines))
