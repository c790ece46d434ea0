"""YAML text as plain Python values that remember where each was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from seqlens.config.words import KeyPath, found
from seqlens.errors import RequestError, did_you_mean


@final
@dataclass(frozen=True, slots=True)
class Tree:
    """Settings, and for each path the place where it was written (`my.yaml line 3`, `--set a.b`)."""

    value: Mapping[str, object]
    places: Mapping[KeyPath, str] = field(default_factory=dict)

    def place_of(self, path: KeyPath) -> str:
        """Returns the place of `path`, or of the nearest mapping around it."""
        return self.places.get(self._written_path(path), "")

    def rank_of(self, path: KeyPath) -> int:
        """Returns a number that sorts paths as they were written: the file's in its order, then overrides."""
        written_path = self._written_path(path)
        return next((rank for rank, key in enumerate(self.places) if key == written_path), 0)

    def _written_path(self, path: KeyPath) -> KeyPath:
        while path and path not in self.places:
            path = path[:-1]
        return path


def read_tree(path: Path) -> Tree:
    """Returns the settings in a YAML 1.2 file.

    Raises:
        RequestError: there is no such file, it is not UTF-8, not YAML, empty, or not a mapping.
    """
    from seqlens.config.compose import parse_yaml

    value, lines = parse_yaml(_read_text(path), lambda line: f"{path} line {line}")
    if value is None:
        raise RequestError(f"{path} is empty, expected settings, one 'name: value' a line.")
    if not isinstance(value, Mapping):
        line = lines.get((), 1)
        raise RequestError(f"{path} line {line}: the file holds {found(value)}, expected a mapping of settings.")
    return Tree(value, {key: f"{path} line {line}" for key, line in lines.items()})


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RequestError(f"{path} does not exist.{_nearest(path)}") from None
    except IsADirectoryError:
        raise RequestError(f"{path} is a folder, expected a YAML file.") from None
    except OSError as error:
        raise RequestError(f"{path} could not be read: {error.strerror or error}.") from error
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wrong = f"byte {error.start} is 0x{data[error.start]:02x}"
        raise RequestError(f"{path} line {line}: the file is not UTF-8 text, {wrong}.") from error


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f" Its folder {path.parent} does not exist either."
    names = sorted(entry.name for entry in path.parent.iterdir())
    with_ending = [name for name in names if name in (f"{path.name}.yaml", f"{path.name}.yml")]
    return did_you_mean(with_ending[0] if with_ending else path.name, names)
