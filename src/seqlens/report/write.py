"""A report into a file: all of it or nothing."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from seqlens.errors import WorkError
from seqlens.report.page import render_report
from seqlens.report.picture import chart_svg
from seqlens.report.sections import BarChart, LineChart, Report


def write_report(report: Report, path: Path) -> None:
    """Writes the report as one HTML file that needs nothing else, by atomic rename; makes the folder if need be.

    Raises WorkError where the file cannot be written; what was there before then stays as it was.
    """
    _write(render_report(report), path, "report")


def write_svg(chart: LineChart | BarChart, path: Path) -> None:
    """Writes a chart as an SVG file that needs nothing else, as `write_report` does.

    Raises WorkError where the file cannot be written.
    """
    _write(chart_svg(chart), path, "picture")


def _write(text: str, path: Path, what: str) -> None:
    # This package and `config` do not see each other, so the few lines of an atomic write stand here too.
    content = text.encode("utf-8")
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
        raise WorkError(f"The {what} could not be written to {path}: {error.strerror or error}.") from error
