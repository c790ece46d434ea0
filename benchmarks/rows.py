"""Files of results, one JSON object a line: only ever longer, and whole at any moment."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqlens.config import write_atomically
from seqlens.errors import WorkError

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """All rows, oldest first; none if there is no file.

    Raises:
        WorkError: a line is no JSON object; the sentence names it.
    """
    if not path.exists():
        return []
    rows = []
    # Not splitlines(): a text inside a row may hold U+2028, which that takes for a line's end.
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise WorkError(f"{path} line {number}: this is not valid JSON: {error.msg}.") from error
        if not isinstance(row, dict):
            raise WorkError(f"{path} line {number}: expected an object in braces, found {line[:40]!r}.")
        rows.append(row)
    return rows


def append_row(path: Path, row: Row, *, unless: Callable[[list[Row]], bool] = lambda rows: False) -> bool:
    """Adds a row at the end, or returns False where `unless` holds of the rows that are there.

    A process that is killed here leaves the old file or the new one. Several processes may add rows at a time.

    Raises:
        WorkError: the file is damaged or could not be written; ValueError: a number of the row is NaN or infinite.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row, ensure_ascii=False, sort_keys=True, allow_nan=False)
    with _locked(path.parent):
        if unless(read_rows(path)):
            return False
        earlier = path.read_text(encoding="utf-8") if path.exists() else ""
        end = "" if not earlier or earlier.endswith("\n") else "\n"
        write_atomically(path, f"{earlier}{end}{line}\n")
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Waits until no other process adds rows in `folder`; the lock ends with the process that holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
