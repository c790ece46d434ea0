"""Who looks on while a model trains: a progress line, a live chart, a test. The loop itself prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, final, runtime_checkable

StopReason = Literal["max_steps", "max_epochs", "max_seconds", "early_stopping", "interrupted"]
WeightsKind = Literal["best", "last", "average", "ema"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands after a step."""

    step: int
    max_steps: int | None
    """The last step, as far as it is known beforehand."""
    epoch: float
    """Passes over the training data so far, a fraction included."""
    loss: float
    """Per term, over the last `log_every` steps."""
    pace: float
    """Terms of the loss in a second of training, validations left out, since the start or the resume."""
    seconds_left: float | None
    """By the pace so far and the first limit to be met; None if no limit is known or early stopping decides."""
    learning_rate: float
    gradient_norm: float
    """Of this step, before clipping; not finite if the step was skipped for that."""
    unit: str = "tokens"
    """What `pace` counts: tokens, examples, bases."""


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found."""

    step: int
    metrics: Mapping[str, float]
    is_best: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class FitResult:
    """How training ended; the model then holds the weights named by `weights`."""

    steps: int
    epochs: float
    seconds: float
    """Over all resumes."""
    best_step: int | None
    best_metrics: Mapping[str, float | None]
    """All metrics of the best validation; None for a value that was not finite."""
    stop_reason: StopReason
    weights: WeightsKind
    final_metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Those of the weights that the model is left with; none where they were not validated."""
    processes: int = 1
    """How many trained together, at the end."""
    weights_step: int | None = None
    """The step of the weights that the model is left with; None for the mean of several."""
    asked_to_stop: bool = False
    """Whether Ctrl-C or SIGTERM came, if only when the training was ending by itself."""


@runtime_checkable
class Observer(Protocol):
    """Told of what happens in `fit`. Whatever it raises ends training."""

    def on_step(self, progress: Progress) -> None:
        """Called after each step."""

    def on_validation(self, validation: Validation) -> None:
        """Called after each validation."""

    def on_warning(self, text: str) -> None:
        """Called with a sentence for the user."""

    def on_end(self, result: FitResult) -> None:
        """Called once, after the final weights were put into the model."""


@final
class Observers:
    """Several observers as one; of none, it is the silent one."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def on_step(self, progress: Progress) -> None:
        """Passes it on."""
        for observer in self._observers:
            observer.on_step(progress)

    def on_validation(self, validation: Validation) -> None:
        """Passes it on."""
        for observer in self._observers:
            observer.on_validation(validation)

    def on_warning(self, text: str) -> None:
        """Passes it on."""
        for observer in self._observers:
            observer.on_warning(text)

    def on_end(self, result: FitResult) -> None:
        """Passes it on."""
        for observer in self._observers:
            observer.on_end(result)
