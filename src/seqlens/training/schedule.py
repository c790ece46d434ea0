"""Learning rates: closed forms over the step and the time, and the plateau rule, which remembers validations."""

import math
from collections.abc import Mapping
from typing import Any, final

from seqlens.training.config import (
    ConstantSchedule,
    CosineSchedule,
    InverseSqrtSchedule,
    LinearSchedule,
    PlateauSchedule,
    ScheduleConfig,
)

_WARMUP_SHARE = 0.5


def warmup_fraction(step: int, warmup_steps: int) -> float:
    """Returns `step / warmup_steps`, at most 1. Steps are counted from 1, so the first update is not wasted."""
    return 1.0 if step >= warmup_steps else step / warmup_steps


def inverse_sqrt_fraction(step: int, warmup_steps: int) -> float:
    """Returns `min(step / warmup, sqrt(warmup / step))`: Vaswani et al. 2017, eq. 3, scaled to a peak of 1."""
    return min(step / warmup_steps, math.sqrt(warmup_steps / step))


def decay_progress(step: int, warmup_steps: int, last_step: int) -> float:
    """Returns how much of the way from the end of the warm-up to `last_step` is done, from 0 to 1."""
    if step >= last_step:
        return 1.0
    return max(0.0, (step - warmup_steps) / max(1, last_step - warmup_steps))


def time_progress(step: int, warmup_steps: int, time_share: float) -> float:
    """Returns how much of the time from the end of the warm-up to the end of training is over, from 0 to 1.

    The warm-up is taken to have had its share of the time so far. At a steady pace this is `decay_progress` with the
    last step that the time allows. A warm-up that takes more than half of the time has that half: then the rate falls.
    """
    share = min(time_share, 1.0)
    of_warmup = min(share * min(1.0, warmup_steps / step), _WARMUP_SHARE)
    return (share - of_warmup) / (1.0 - of_warmup)


def doubt_warmup(config: ScheduleConfig, last_step: int | None) -> str | None:
    """A sentence for who trains so few steps that most of them are warm-up; None for others, and for a single step."""
    if last_step is None or last_step < 2 or 2 * config.warmup_steps <= last_step:
        return None
    return (
        f"This training has {last_step:,} steps, and 'training.schedule.warmup_steps' is {config.warmup_steps:,}: the "
        "learning rate is small for most of it. Train for longer ('training.max_steps', 'training.max_epochs'), on "
        "smaller batches ('batches.max_tokens'), or with a shorter warm-up."
    )


def doubt_end(config: ScheduleConfig, step: int) -> str | None:
    """A sentence for whose training ended before its warm-up; None for others."""
    if step >= config.warmup_steps:
        return None
    return (
        f"Training ended at step {step:,}, before the {config.warmup_steps:,} steps of "
        "'training.schedule.warmup_steps': the learning rate never came to its peak. Train for longer, or with a "
        "shorter warm-up."
    )


@final
class Schedule:
    """Gives each step its learning rate; told of each validation, because the plateau rule depends on them."""

    def __init__(self, config: ScheduleConfig, *, learning_rate: float, last_step: int | None) -> None:
        """`learning_rate` is the peak; `last_step` is where the cosine and the line end.

        It may be None for the others, and for one that ends with the time.
        """
        self._config = config
        self._peak = learning_rate
        self._last_step = last_step
        self._validations_without_best = 0
        self._reductions = 0

    @property
    def follows_time(self) -> bool:
        """Whether `learning_rate` wants to know how much of the time is over."""
        return isinstance(self._config, CosineSchedule | LinearSchedule) and self._config.follow_time

    def learning_rate(self, step: int, time_share: float = 0.0) -> float:
        """Returns the learning rate of update number `step`, counted from 1.

        `time_share` is how much of the training's time is over, from 0 to 1, for a schedule that follows it.
        """
        return self._peak * self._fraction(step, time_share)

    def observe(self, *, is_best: bool) -> None:
        """Takes note of a validation: whether it brought a new best."""
        if not isinstance(self._config, PlateauSchedule):
            return
        self._validations_without_best = 0 if is_best else self._validations_without_best + 1
        if self._validations_without_best >= self._config.patience:
            self._reductions += 1
            self._validations_without_best = 0

    def state_dict(self) -> dict[str, Any]:
        """Returns what the plateau rule remembers, as JSON values."""
        return {"validations_without_best": self._validations_without_best, "reductions": self._reductions}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self._validations_without_best = state["validations_without_best"]
        self._reductions = state["reductions"]

    def _fraction(self, step: int, time_share: float) -> float:
        config = self._config
        match config:
            case ConstantSchedule():
                return warmup_fraction(step, config.warmup_steps)
            case InverseSqrtSchedule():
                return inverse_sqrt_fraction(step, config.warmup_steps)
            case CosineSchedule():
                wave = 0.5 * (1.0 + math.cos(math.pi * self._progress(config, step, time_share)))
                falling = config.final_fraction + (1.0 - config.final_fraction) * wave
                return warmup_fraction(step, config.warmup_steps) * falling
            case LinearSchedule():
                falling = 1.0 - (1.0 - config.final_fraction) * self._progress(config, step, time_share)
                return warmup_fraction(step, config.warmup_steps) * falling
            case PlateauSchedule():
                reduced = max(config.factor**self._reductions, config.final_fraction)
                return warmup_fraction(step, config.warmup_steps) * reduced

    def _progress(self, config: CosineSchedule | LinearSchedule, step: int, time_share: float) -> float:
        done = time_progress(step, config.warmup_steps, time_share) if config.follow_time else 0.0
        if self._last_step is not None:
            return max(done, decay_progress(step, config.warmup_steps, self._last_step))
        if not config.follow_time:
            raise ValueError(f"the schedule '{config.kind}' needs to know the last step")
        return done
