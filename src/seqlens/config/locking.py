"""A folder for one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seqlens.errors import RequestError, WorkError

LOCK_FILE = ".lock"


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Holds a folder, which is made if need be; the lock ends with the process, however that ends.

    Where the system has no such locks (Windows, some network drives), two processes in one folder are the user's own
    doing.

    Raises:
        RequestError: another process holds it; `what` says what that is doing there, such as "training".
        WorkError: nothing can be written there.
    """
    made, path = [place for place in (folder, *folder.parents) if not place.exists()], folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _taken(path, f"Another process is {what} in {folder}; give another --out, or wait.")
    except OSError as error:
        raise WorkError(f"{folder} cannot be written to: {error.strerror or error}.") from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        if descriptor is not None:
            os.close(descriptor)
        with suppress(OSError):  # what was refused leaves no empty folders behind
            for place in made:
                place.rmdir()


def _taken(path: Path, refusal: str) -> int | None:
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise RequestError(refusal) from error
        except OSError:
            os.close(descriptor)
            return None
        # Who held it may have removed the file between the two calls.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)
