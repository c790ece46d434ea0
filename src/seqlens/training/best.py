"""Which validation was best, and how long ago: what early stopping and the choice of weights go by."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal, final

from seqlens.errors import RequestError, did_you_mean


def check_metric(metric: str, given: Collection[str]) -> None:
    """Refuses a metric to choose weights by that is not among those that validation gives.

    Raises:
        RequestError: it is not; with the nearest that is.
    """
    if metric not in given:
        raise RequestError(
            f"'training.metric' is '{metric}', expected one that validation gives: "
            f"{', '.join(sorted(given))}.{did_you_mean(metric, given)}"
        )


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: None for a value that is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


LOWER_IS_BETTER = ("loss", "perplexity", "log_loss", "bits_per_character", "calibration_error")
_HIGHER_IS_BETTER = (
    "bleu",
    "chrf",
    "exact_match",
    "accuracy",
    "f1",
    "macro_f1",
    "coding_f1",
    "either_strand_f1",
    "sensitivity",
    "precision",
    "recall",
    "correlation",
)


def doubt_mode(metric: str, mode: Literal["min", "max"]) -> str | None:
    """A sentence for who would keep the worst weights; None where the mode suits the metric, or that is not known."""
    suits = "min" if metric in LOWER_IS_BETTER else "max" if metric in _HIGHER_IS_BETTER else mode
    if suits == mode:
        return None
    return (
        f"'training.mode' is '{mode}', but of the metric '{metric}' the {'smallest' if suits == 'min' else 'largest'} "
        f"is the best: the weights that are kept would be the worst. Set 'training.mode' to '{suits}'."
    )


def doubt_value(metric: str, metrics: Mapping[str, float], step: int) -> str | None:
    """A sentence where a validation gave no number to choose weights by; None where it did."""
    if math.isfinite(metrics[metric]):
        return None
    return f"The validation metric '{metric}' was {metrics[metric]} at step {step}: no weights are chosen by that."


@final
class BestTracker:
    """Follows one validation metric. A value that is not a number is never the best."""

    def __init__(self, metric: str, mode: Literal["min", "max"], *, patience: int | None) -> None:
        """`patience` is the number of validations in a row without a new best that `exhausted` allows."""
        self._metric = metric
        self._mode = mode
        self._patience = patience
        self.step: int | None = None
        self.metrics: dict[str, float | None] = {}
        self._validations_since = 0

    def observe(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Takes note of the validation at `step`; returns whether it is the best so far.

        Raises:
            RequestError: the metric to follow is not among `metrics`.
        """
        check_metric(self._metric, metrics)
        if not self._is_better(metrics[self._metric]):
            self._validations_since += 1
            return False
        self.step = step
        self.metrics = finite(metrics)
        self._validations_since = 0
        return True

    @property
    def exhausted(self) -> bool:
        """Whether the best is `patience` validations old."""
        return self._patience is not None and self._validations_since >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """Returns what was seen, as JSON values."""
        return {"step": self.step, "metrics": self.metrics, "validations_since": self._validations_since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self.step = state["step"]
        self.metrics = dict(state["metrics"])
        self._validations_since = state["validations_since"]

    def _is_better(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        best = self.metrics.get(self._metric)
        if best is None:
            return True
        return value < best if self._mode == "min" else value > best
