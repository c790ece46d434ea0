"""A file of JSON lines that only grows, and that a resumed run cuts back to where its checkpoint was."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from seqlens.errors import WorkError


@final
class JsonLines:
    """Appends one record a line to `path`; a line is on its way to the disk when `append` returns."""

    def __init__(self, path: Path, *, length: int, warn: Callable[[str], None]) -> None:
        """Opens the file and cuts it to its first `length` bytes (0: starts it anew).

        Where it is shorter than that, `warn` is told; what is there stays.

        Raises:
            WorkError: the file cannot be opened.
        """
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
            found = os.fstat(self._file).st_size
            if found > length:
                os.ftruncate(self._file, length)
        except OSError as error:
            raise WorkError(f"{path} could not be opened: {error.strerror or error}.") from error
        if found < length:
            warn(f"{path} has {found} bytes, expected {length}: earlier lines of it are lost. Training goes on.")

    def append(self, record: Mapping[str, Any]) -> None:
        """Writes a record. Numbers that are not finite become null, because JSON has none.

        Raises:
            WorkError: the line could not be written.
        """
        line = json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n"
        rest = memoryview(line.encode("utf-8"))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise WorkError(f"{self._path} could not be written: {error.strerror or error}.") from error

    def settle(self) -> int:
        """Waits until every line is on the disk, and returns the length in bytes."""
        try:
            os.fsync(self._file)
            return os.fstat(self._file).st_size
        except OSError as error:
            raise WorkError(f"{self._path} could not be written: {error.strerror or error}.") from error

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
