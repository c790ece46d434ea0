"""Training curves for TensorBoard."""

import math
from pathlib import Path
from typing import Any, final

from seqlens.errors import RequestError
from seqlens.training.observer import FitResult, Progress, Validation


@final
class TensorBoardObserver:
    """Writes scalars under `train/` (each `every` steps) and `validation/`, and warnings as text."""

    def __init__(self, folder: Path, *, every: int = 50) -> None:
        """Opens an event file in `folder`.

        Raises:
            RequestError: the package tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            message = "TensorBoard is not installed here; from a clone: pip install -c constraints.txt '.[tensorboard]'"
            raise RequestError(message) from error
        self._writer: Any = SummaryWriter(str(folder))
        self._every = every
        self._step = 0

    def __enter__(self) -> "TensorBoardObserver":
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def on_step(self, progress: Progress) -> None:
        """Writes the training scalars."""
        self._step = progress.step
        if progress.step % self._every:
            return
        self._writer.add_scalar("train/loss", progress.loss, progress.step)
        self._writer.add_scalar("train/learning_rate", progress.learning_rate, progress.step)
        self._writer.add_scalar(f"train/{progress.unit}_per_second", progress.pace, progress.step)
        if math.isfinite(progress.gradient_norm):
            self._writer.add_scalar("train/gradient_norm", progress.gradient_norm, progress.step)

    def on_validation(self, validation: Validation) -> None:
        """Writes every metric."""
        for name, value in validation.metrics.items():
            self._writer.add_scalar(f"validation/{name}", value, validation.step)

    def on_warning(self, text: str) -> None:
        """Writes the sentence."""
        self._writer.add_text("warning", text, self._step)

    def on_end(self, result: FitResult) -> None:
        """Closes the event file."""
        self._writer.close()
