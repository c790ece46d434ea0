"""The resident memory of this process, as Linux counts it."""

from pathlib import Path

from seqlens.errors import RequestError

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident_bytes() -> int:
    """Bytes in memory now (VmRSS)."""
    return _read("VmRSS")


def peak_bytes() -> int:
    """The most bytes there were in memory since the start or since `reset_peak` (VmHWM)."""
    return _read("VmHWM")


def reset_peak() -> None:
    """Makes the peak what is in memory now (see clear_refs in proc(5))."""
    if not _CLEAR.exists():
        raise RequestError("Peak memory is read from /proc, so this benchmark needs Linux.")
    _CLEAR.write_text("5", encoding="ascii")


def _read(name: str) -> int:
    if not _STATUS.exists():
        raise RequestError("Memory is read from /proc, so this benchmark needs Linux.")
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RequestError(f"{_STATUS} has no line {name}.")
