"""Training curves for TensorBoard."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, final

from seqlens.errors import RequestError
from seqlens.training.observer import FitResult, Progress, Validation


@final
class TensorBoardObserver:
    """Writes scalars under `train/` (each `every` steps) and `validation/`, and warnings as text."""

    def __init__(self, folder: Path, *, every: int = 50) -> None:
        """Writes an event file in `folder`, from the first step on; used in `with`, it is closed whatever happens.

        Raises:
            RequestError: the package tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            message = "TensorBoard is not installed here; from a clone: pip install -c constraints.txt '.[tensorboard]'"
            raise RequestError(message) from error
        self._open: Callable[..., Any] = partial(SummaryWriter, str(folder))
        self._writer: Any = None
        self._warnings: list[str] = []
        self._every = every
        self._step = 0

    def __enter__(self) -> "TensorBoardObserver":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def on_step(self, progress: Progress) -> None:
        """Writes the training scalars."""
        writer = self._at(progress.step)
        if progress.step % self._every:
            return
        writer.add_scalar("train/loss", progress.loss, progress.step)
        writer.add_scalar("train/learning_rate", progress.learning_rate, progress.step)
        writer.add_scalar(f"train/{progress.unit}_per_second", progress.pace, progress.step)
        if math.isfinite(progress.gradient_norm):
            writer.add_scalar("train/gradient_norm", progress.gradient_norm, progress.step)

    def on_validation(self, validation: Validation) -> None:
        """Writes every metric."""
        writer = self._at(validation.step)
        for name, value in validation.metrics.items():
            writer.add_scalar(f"validation/{name}", value, validation.step)

    def on_warning(self, text: str) -> None:
        """Writes the sentence, one before the first step with that."""
        self._warnings.append(text)
        if self._writer is not None:
            self._at(self._step)

    def on_end(self, result: FitResult) -> None:
        """Closes the event file."""
        self._close()

    def _at(self, step: int) -> Any:
        """The event file, which is begun at the first step told of: what an earlier one has from there on is void."""
        self._step = step
        if self._writer is None:
            self._writer = self._open(purge_step=step)
        for text in self._warnings:
            self._writer.add_text("warning", text, step)
        self._warnings.clear()
        return self._writer

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
