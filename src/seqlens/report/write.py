"""A report into a file: all of it or nothing."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from seqlens.errors import WorkError
from seqlens.report.page import render_report
from seqlens.report.sections import Report


def write_report(report: Report, path: Path) -> None:
    """Writes the report as one HTML file that needs nothing else, by atomic rename; makes the folder if need be.

    Raises WorkError where the file cannot be written; what was there before then stays as it was.
    """
    # This package and `config` do not see each other, so the few lines of an atomic write stand here too.
    content = render_report(report).encode("utf-8")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WorkError(f"The report could not be written to {path}: {error.strerror or error}.") from error
