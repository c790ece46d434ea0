"""Files that are either whole or absent: atomic writes, checksums, JSON."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from seqlens.errors import WorkError

_PREFIX, _SUFFIX = ".seqlens-", ".tmp"


def is_temporary(name: str) -> bool:
    """Whether a file of this name is what `write_atomically` leaves where it is killed."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) so that `path` holds the old content or the new, never a part.

    Missing parent folders are created. The bytes go to a temporary file (`.seqlens-*.tmp`) in the same
    folder, which is flushed to the disk and renamed over `path`.

    Raises:
        WorkError: the file could not be written; `path` is as before and the temporary file is gone.
    """
    path = Path(path)
    data = _encode(path, content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:  # an interrupt must not leave the temporary file behind either
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        flush_folder(path.parent)
    except OSError as error:
        raise WorkError(f"{path} could not be written: {_reason(error)}.") from error


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        WorkError: the file could not be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WorkError(f"{path} could not be read: {_reason(error)}.") from error


def read_json(path: Path) -> Any:
    """Returns the value in a JSON file.

    Raises:
        WorkError: the file could not be read, is not UTF-8, or is not JSON (NaN and Infinity are not JSON).
    """
    try:
        return json.loads(Path(path).read_bytes().decode("utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise WorkError(f"{path} could not be read: {_reason(error)}.") from error
    except UnicodeDecodeError as error:
        raise WorkError(
            f"{path} is not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}."
        ) from error
    except json.JSONDecodeError as error:
        raise WorkError(f"{path} line {error.lineno}: this is not valid JSON: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        raise WorkError(f"{path} is not valid JSON: {error}.") from error


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as JSON: sorted keys, two spaces a level, text as it is, a newline at the end.

    Raises:
        WorkError: `value` holds a NaN or an infinite number, or the file could not be written.
    """
    try:
        text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise WorkError(f"{path} was not written: {error}.") from error
    write_atomically(path, text + "\n")


def _encode(path: Path, content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError as error:
        sign = ascii(error.object[error.start])
        raise WorkError(f"{path} was not written: {sign} at character {error.start} has no UTF-8 form.") from error


def flush_folder(folder: Path) -> None:
    """Brings a folder's entries to the disk, so that a rename in it outlives a power cut."""
    if os.name == "nt":  # Windows has no handle for a folder, and its rename needs none
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network folders cannot flush a folder
            raise
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which JSON does not know")
