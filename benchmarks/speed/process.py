"""Fresh processes: what they take in time, what they take in memory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from seqlens.errors import WorkError

_LAUNCHER = Path(__file__).with_name("launch.py")


@final
@dataclass(frozen=True, slots=True)
class Finished:
    """What a process wrote to stdout, its wall time, and the largest resident size it reached."""

    output: str
    seconds: float
    peak_bytes: int


def run_python(
    arguments: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Finished:
    """Runs this Python with `arguments`, in `folder` if one is given, and measures it from outside (see launch.py).

    `environment` is added to this process' own.

    Raises:
        WorkError: the process failed; the sentence ends with the last lines of its stderr.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-S", str(_LAUNCHER), str(report), sys.executable, *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=folder,
            env={**child_environment(), **(environment or {})},
            check=False,
        )
        found = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {"exit_code": done.returncode}
    if found["exit_code"] != 0:
        last = done.stderr.decode("utf-8", errors="replace").strip().splitlines()[-15:]
        raise WorkError("\n".join([f"python {' '.join(arguments)} ended with {found['exit_code']}:", *last]))
    return Finished(done.stdout.decode("utf-8", errors="replace"), found["seconds"], found["peak_bytes"])


def child_environment() -> dict[str, str]:
    """This process' environment, its PYTHONPATH made to hold in another working folder too."""
    environment = dict(os.environ)
    if "PYTHONPATH" in environment:
        places = environment["PYTHONPATH"].split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(place) for place in places if place)
    return environment
