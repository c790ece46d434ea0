"""The settings of training. Field by field they are validated by pydantic when a recipe is read."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
BetweenZeroAndOne = Annotated[float, Field(gt=0, lt=1)]
AtLeastOne = Annotated[int, Field(ge=1)]
AtLeastZero = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamWConfig:
    """AdamW (Loshchilov and Hutter 2019): Adam with weight decay apart from the gradient.

    Biases, norms, embeddings and every other vector are not decayed.
    """

    kind: Literal["adamw"] = "adamw"
    learning_rate: Positive = 1e-3
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    epsilon: Positive = 1e-8
    weight_decay: NotNegative = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantSchedule:
    """The learning rate itself, after a linear rise over `warmup_steps`."""

    kind: Literal["constant"] = "constant"
    warmup_steps: AtLeastZero = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseSqrtSchedule:
    """A linear rise over `warmup_steps`, then a fall with one over the square root of the step (Vaswani et al. 2017).

    The peak, at step `warmup_steps`, is the optimiser's learning rate.
    """

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup_steps: AtLeastOne = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineSchedule:
    """A linear rise over `warmup_steps`, then half a cosine down to `final_fraction` of the rate at the last step."""

    kind: Literal["cosine"] = "cosine"
    warmup_steps: AtLeastZero = 0
    final_fraction: Fraction = 0.0
    follow_time: bool = False
    """End with `max_seconds`, too, where that comes before the last step, so that a training cut by time has had its
    small rates. Such a training can be repeated only on a machine as fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSchedule:
    """A linear rise over `warmup_steps`, then a straight line down to `final_fraction` of the rate at the last step."""

    kind: Literal["linear"] = "linear"
    warmup_steps: AtLeastZero = 0
    final_fraction: Fraction = 0.0
    follow_time: bool = False
    """As for `cosine`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateauSchedule:
    """Times `factor` after `patience` validations in a row that brought no new best, down to `final_fraction`."""

    kind: Literal["plateau"] = "plateau"
    warmup_steps: AtLeastZero = 0
    factor: BetweenZeroAndOne = 0.5
    patience: AtLeastOne = 3
    final_fraction: Fraction = 0.0


ScheduleConfig = Annotated[
    ConstantSchedule | InverseSqrtSchedule | CosineSchedule | LinearSchedule | PlateauSchedule,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How long to train and how. At least one of the limits or `patience` must be given; the first one met ends it."""

    max_steps: AtLeastOne | None = None
    """Updates of the weights."""
    max_epochs: AtLeastOne | None = None
    """Passes over the training data."""
    max_seconds: Positive | None = None
    """Seconds of training, validation and checkpoints, counted over resumes."""
    optimizer: AdamWConfig = field(default_factory=AdamWConfig)
    schedule: ScheduleConfig = field(default_factory=ConstantSchedule)
    gradient_clip: Positive | None = 1.0
    """Largest norm of the gradient of the mean loss over all weights together; none = no clipping."""
    accumulate_batches: AtLeastOne = 1
    """Batches in one update; their losses are summed and divided by their counts together, as in one large batch."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What matrix products are computed in (weights stay as they are); auto = bfloat16 where that is fast."""
    validate_every: AtLeastOne = 500
    """Steps from one validation to the next; the last step is validated always."""
    validate_start: bool = False
    """Validate before the first step, too, so that the weights that training starts from may be the best."""
    metric: str = "loss"
    """The validation metric that chooses the best weights and drives `patience` and the plateau schedule."""
    mode: Literal["min", "max"] = "min"
    """Whether a smaller or a larger metric is better."""
    patience: AtLeastOne | None = None
    """Validations in a row without a new best after which training stops; none = never."""
    keep_checkpoints: AtLeastOne = 2
    """Newest checkpoints that stay on disk; the best one stays besides."""
    checkpoint_every: AtLeastOne | None = None
    """Steps from one checkpoint to the next; none = as `validate_every`. A new best is always written."""
    average_last: AtLeastZero = 0
    """The final weights are the mean of those of this many last checkpoints; 0 = the best weights."""
    ema_decay: BetweenZeroAndOne | None = None
    """Keep a moving average of the weights with this decay; it is what is validated and what is kept as best."""
    log_every: AtLeastOne = 50
    """Steps from one line of the log to the next; also the window over which the shown loss is averaged."""
    watch_every: AtLeastOne = 200
    """Steps from one look at the gradients through time to the next, in a translator whose encoder is recurrent; where
    they vanish or explode, that is told."""

    def __post_init__(self) -> None:
        """Refuses settings that contradict each other, with a ValueError naming both."""
        limits = (self.max_steps, self.max_epochs, self.max_seconds, self.patience)
        if all(limit is None for limit in limits):
            raise ValueError("nothing ends this training; give 'max_steps', 'max_epochs', 'max_seconds' or 'patience'")
        if isinstance(self.schedule, CosineSchedule | LinearSchedule):
            self._check_end(self.schedule)
        if self.average_last and self.ema_decay is not None:
            raise ValueError("'average_last' and 'ema_decay' are two choices of the final weights; give one of them")

    def _check_end(self, schedule: "CosineSchedule | LinearSchedule") -> None:
        if schedule.follow_time and self.max_seconds is None:
            raise ValueError("a schedule with 'follow_time' ends with 'max_seconds', so that must be given")
        if not schedule.follow_time and self.max_steps is None and self.max_epochs is None:
            raise ValueError(
                f"the schedule '{schedule.kind}' runs to the last step, so it needs 'max_steps' or 'max_epochs', or "
                "'follow_time' and 'max_seconds'"
            )

    @property
    def steps_between_checkpoints(self) -> int:
        """`checkpoint_every`, or `validate_every` where that is not given."""
        return self.checkpoint_every or self.validate_every

    def last_step(self, batches_per_epoch: int) -> int | None:
        """Returns the step at which `max_steps` or `max_epochs` ends training, or None if neither is given."""
        limits = [self.max_steps] if self.max_steps is not None else []
        if self.max_epochs is not None:
            limits.append(-(-self.max_epochs * batches_per_epoch // self.accumulate_batches))
        return min(limits, default=None)
