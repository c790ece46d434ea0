"""What a training writes down as it goes: `log.jsonl`, which depends on the seed alone, and `times.jsonl`.

Where the time ends a schedule, `log.jsonl` depends on that too.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, final

from seqlens.training.checkpoint import Checkpoint
from seqlens.training.log import JsonLines
from seqlens.training.observer import Progress
from seqlens.training.state import TrainingState
from seqlens.training.step import StepResult


class Lines(Protocol):
    """What a log is to the journal."""

    def append(self, record: Mapping[str, Any]) -> None: ...

    def settle(self) -> int: ...

    def close(self) -> None: ...


@final
class NoLines:
    """The log of a process that does not write any."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Forgets it."""

    def settle(self) -> int:
        """Nothing was written."""
        return 0

    def close(self) -> None:
        """Nothing is open."""


@final
class Journal:
    """The two logs and the clock. The clock goes on from the checkpoint a training is resumed from."""

    def __init__(self, folder: Path | None, checkpoint: Checkpoint | None, *, warn: Callable[[str], None]) -> None:
        """Opens both logs in `folder`, cut back to where `checkpoint` was taken (None: started anew).

        Without a folder there is the clock only.
        """
        clock = checkpoint.clock if checkpoint else {}
        log_bytes = checkpoint.state["log_bytes"] if checkpoint else 0
        self._log: Lines = NoLines()
        self._times: Lines = NoLines()
        if folder is not None:
            self._log = JsonLines(folder / "log.jsonl", length=log_bytes, warn=warn)
            self._times = JsonLines(folder / "times.jsonl", length=int(clock.get("times_bytes", 0)), warn=warn)
        self._seconds_before = float(clock.get("seconds", 0.0))
        self._start = time.perf_counter()
        self._steps = 0
        self._step_seconds = 0.0
        self._tokens = 0

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all resumes."""
        return self._seconds_before + time.perf_counter() - self._start

    @property
    def pace(self) -> float:
        """Terms of the loss in a second of steps, since the start or the resume."""
        return self._tokens / self._step_seconds if self._step_seconds else 0.0

    def count_step(self, result: StepResult, seconds: float) -> None:
        """Takes a step into the pace."""
        self._steps += 1
        self._tokens += result.count
        self._step_seconds += seconds

    def seconds_left(self, state: TrainingState, max_seconds: float | None) -> float | None:
        """Returns the time to the first limit that is known, at the pace so far."""
        estimates = [max_seconds - self.seconds] if max_seconds is not None else []
        if state.last_step is not None and self._steps:
            pace = (time.perf_counter() - self._start) / self._steps
            estimates.append(pace * (state.last_step - state.step))
        return max(0.0, min(estimates)) if estimates else None

    def write_step(self, state: TrainingState, progress: Progress, *, epoch: int) -> None:
        """Writes the line of a step to both logs."""
        record = {
            "step": state.step,
            "epoch": epoch,
            "loss": state.recent.loss,
            "learning_rate": progress.learning_rate,
            "gradient_norm": progress.gradient_norm,
            "largest_gradient_norm": state.recent.largest_gradient_norm,
            "tokens": state.tokens,
            "skipped": state.skipped,
        }
        parts = state.recent.parts
        self._log.append({**record, "parts": parts} if parts else record)
        pace = f"{progress.unit}_per_second"
        self._times.append({"step": state.step, "seconds": round(self.seconds, 3), pace: round(progress.pace, 1)})

    def write_validation(
        self, state: TrainingState, metrics: Mapping[str, float], *, is_best: bool, seconds: float
    ) -> None:
        """Writes the line of a validation to both logs."""
        record = {
            "step": state.step,
            "epoch": state.batches.epoch,
            "tokens": state.tokens,
            "validation": metrics,
            "is_best": is_best,
        }
        self._log.append(record)
        times = {
            "step": state.step,
            "seconds": round(self.seconds, 3),
            "validation_seconds": round(seconds, 3),
        }
        self._times.append(times)

    def settle(self) -> tuple[int, dict[str, float | int]]:
        """Waits until both logs are on the disk; returns the log's length in bytes and the clock of a checkpoint."""
        return self._log.settle(), {"seconds": self.seconds, "times_bytes": self._times.settle()}

    def close(self) -> None:
        """Closes both files."""
        self._log.close()
        self._times.close()
