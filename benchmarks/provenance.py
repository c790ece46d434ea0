"""Where a number comes from: version, commit, machine, time."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seqlens import __version__

REPOSITORY = Path(__file__).resolve().parents[1]
QUALITY_ROWS = REPOSITORY / "benchmarks" / "quality" / "rows.jsonl"
QUALITY_ANSWERS = REPOSITORY / "benchmarks" / "quality" / "predictions"
SPEED_ROWS = REPOSITORY / "benchmarks" / "speed" / "rows.jsonl"
RESULTS_PAGE = REPOSITORY / "docs" / "results.md"

# Written by the benchmarks themselves: they do not make the code another one.
_WRITTEN = (QUALITY_ROWS, QUALITY_ANSWERS, SPEED_ROWS, RESULTS_PAGE)
_WRITTEN_HERE = tuple(path.relative_to(REPOSITORY).as_posix() for path in _WRITTEN)


def provenance(commit: str | None = None) -> dict[str, Any]:
    """Version and commit of the code, the machine, and the time now (UTC).

    A long process gives the `commit` it began with: that is the code it runs, whatever is checked out since.
    """
    from seqlens.inference import describe_machine

    return {
        "seqlens": __version__,
        "commit": commit or git_commit(REPOSITORY),
        "machine": describe_machine(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_commit(folder: Path) -> str:
    """The commit checked out in `folder`, with `-dirty` where files differ from it; `unknown` outside a repository."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    # A folder inside somebody else's repository has that one's commit, which says nothing about this code.
    if top is None or commit is None or Path(top).resolve() != folder.resolve():
        return "unknown"
    changes = _git(folder, "status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in _WRITTEN_HERE))
    return commit if changes == "" else f"{commit}-dirty"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers, or None if there is no git or it refuses."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
