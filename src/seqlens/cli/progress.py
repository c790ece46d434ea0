"""What a person sees while a model trains: a live line on a terminal, now and then a plain line in a pipe."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, final, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as LiveProgress
from rich.text import Text

from seqlens.cli.printing import notes, warn
from seqlens.training.observer import FitResult, Observer, Progress, StopReason, Validation

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds between two plain lines: a short training shows that it lives, a long one does not fill the log."""

_ENDINGS: Mapping[StopReason, str] = {
    "max_steps": "all steps are done",
    "max_epochs": "all epochs are done",
    "max_seconds": "the time is up",
    "early_stopping": "validation got no better any more",
    "interrupted": "interrupted",
}


@runtime_checkable
class ShownTraining(Observer, Protocol):
    """An observer that is entered before training and left after it, whatever happens in between."""

    def __enter__(self) -> "ShownTraining":
        """Starts to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the terminal as it was."""


def show_training(label: str = "") -> ShownTraining:
    """An observer for stderr, by what that is; `label` stands before every line where several models train."""
    return LiveLine(live_progress(notes()), label) if sys.stderr.isatty() else PlainLines(label)


@final
class PlainLines:
    """Lines for a pipe or a log file: the first step, then one now and then, and every validation."""

    def __init__(self, label: str = "") -> None:
        self._label = f"{label}: " if label else ""
        self._console = notes()
        self._next = 0.0
        self._pause = FIRST_PAUSE

    def __enter__(self) -> "PlainLines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def on_step(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        if self._next:
            self._pause = min(self._pause * 1.5, LONGEST_PAUSE)
        self._next = now + self._pause
        parts = [f"step {steps_text(progress)}", *_measures(progress)]
        self._console.print(Text(self._label + "  ".join(parts)))

    def on_validation(self, validation: Validation) -> None:
        self._console.print(Text(self._label + validation_text(validation)))

    def on_warning(self, text: str) -> None:
        warn(self._label + text)

    def on_end(self, result: FitResult) -> None:
        self._console.print(Text(self._label + ending_text(result)))


@final
class LiveLine:
    """A line that moves, on a terminal; validations and warnings stay above it. Several may share one `live`."""

    def __init__(self, live: LiveProgress, label: str = "") -> None:
        self._label = f"{label}: " if label else ""
        self._live = live
        self._task: TaskID | None = None
        self._started = 0.0

    def __enter__(self) -> "LiveLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def on_step(self, progress: Progress) -> None:
        if self._task is None:
            self._started = time.monotonic()
            self._live.start()
            self._task = self._live.add_task("", total=None, measures="")
        done = self._fraction(progress)
        self._live.update(
            self._task,
            description=f"{self._label}{steps_text(progress)}",
            measures="  ".join(_measures(progress)),
            completed=done or 0.0,
            total=None if done is None else 1.0,
        )

    def on_validation(self, validation: Validation) -> None:
        style = "green" if validation.is_best else ""
        self._live.console.print(Text(self._label + validation_text(validation), style=style))

    def on_warning(self, text: str) -> None:
        self._live.console.print(Text.assemble(("warning: ", "bold yellow"), self._label + text))

    def on_end(self, result: FitResult) -> None:
        if self._task is not None:
            self._live.remove_task(self._task)
        if not self._live.tasks:
            self._live.stop()
        self._live.console.print(Text(self._label + ending_text(result)))

    def _fraction(self, progress: Progress) -> float | None:
        """How much is done, by steps where their number is known, else by time."""
        if progress.max_steps is not None:
            return progress.step / progress.max_steps
        if progress.seconds_left is None:
            return None
        elapsed = time.monotonic() - self._started
        return elapsed / max(elapsed + progress.seconds_left, 1e-9)


def live_progress(console: Console) -> LiveProgress:
    """The moving part of the screen: a line for each training that runs at present."""
    return LiveProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24, complete_style="cyan"),
        TextColumn("{task.fields[measures]}"),
        console=console,
        refresh_per_second=4,
        transient=True,
    )


@contextmanager
def show_trainings() -> Iterator[Callable[[str], Observer]]:
    """Yields what makes an observer for each of several trainings, by its name; some may run at the same time."""
    if not sys.stderr.isatty():
        yield PlainLines
        return
    # One for all: two moving parts would write over each other.
    live = live_progress(notes())
    try:
        yield lambda label: LiveLine(live, label)
    finally:
        live.stop()


@contextmanager
def counting(verb: str, *, hidden: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Shows on a terminal how many inputs are done; yields what is to be told of `(done, in all or None)`.

    Nothing is shown in a pipe, nor where `hidden` says that results appear on the same terminal.
    """
    if hidden or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24, complete_style="cyan"))
    live = LiveProgress(*columns, console=notes(), refresh_per_second=4, transient=True)
    task = live.add_task(verb, total=None)

    def show(done: int, total: int | None) -> None:
        live.start()  # only now, so that what is told before it stands above it
        count = f"{done:,}" if total is None else f"{done:,} of {total:,}"
        live.update(task, description=f"{count} {verb}", completed=done, total=total)

    try:
        yield show
    finally:
        live.stop()


def steps_text(progress: Progress) -> str:
    """`1,200/30,000`, or `1,200` where nobody knows the last one."""
    return f"{progress.step:,}" if progress.max_steps is None else f"{progress.step:,}/{progress.max_steps:,}"


def _measures(progress: Progress) -> list[str]:
    measures = [f"loss {progress.loss:.3f}", f"{progress.pace:,.0f} {progress.unit}/s"]
    if progress.seconds_left is not None:
        measures.append(f"{duration(progress.seconds_left)} left")
    return measures


def validation_text(validation: Validation) -> str:
    """What a validation found, on one line."""
    metrics = ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in validation.metrics.items())
    best = "  best so far" if validation.is_best else ""
    return f"step {validation.step:,}  validation: {metrics}{best}"


def ending_text(result: FitResult) -> str:
    """How training ended."""
    kept = {
        "best": f"the best weights, of step {result.best_step:,}, are"
        if result.best_step is not None
        else "the best weights are",
        "ema": "the moving average of the weights is",
        "average": "the mean of the last checkpoints' weights is",
        "last": "the last weights are",
    }[result.weights]
    steps = "1 step" if result.steps == 1 else f"{result.steps:,} steps"
    return (
        f"Trained {steps} ({result.epochs:.1f} epochs) in {duration(result.seconds)}: "
        f"{_ENDINGS[result.stop_reason]}; {kept} kept."
    )


def duration(seconds: float) -> str:
    """`45 s`, `12:05` (minutes) or `3:05:00` (hours)."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not finite"
