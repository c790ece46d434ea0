"""Ctrl-C and SIGTERM as a wish to stop: the step in progress is finished first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, final


@final
class Interruption:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def noticing_interruption() -> Iterator[Interruption]:
    """Inside, the first Ctrl-C or SIGTERM sets `requested`; a second one acts as it did before.

    Signals reach the main thread only; called from another, nothing changes and `requested` stays False.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    earlier: dict[int, Any] = {}

    def notice(number: int, frame: FrameType | None) -> None:
        interruption.requested = True
        signal.signal(number, earlier[number])

    try:
        for asked in (signal.SIGINT, signal.SIGTERM):
            # None stands for a handler that was not installed by Python and cannot be put back.
            earlier[asked] = signal.getsignal(asked) or signal.SIG_DFL
            signal.signal(asked, notice)
        yield interruption
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
