"""Training: `fit`, the loop as one readable function, and the parts it is made of."""

from seqlens.training.config import (
    AdamWConfig,
    ConstantSchedule,
    CosineSchedule,
    InverseSqrtSchedule,
    LinearSchedule,
    PlateauSchedule,
    ScheduleConfig,
    TrainingConfig,
)
from seqlens.training.loop import fit
from seqlens.training.observer import FitResult, Observer, Observers, Progress, Validation
from seqlens.training.state import BatchSource, Carried
from seqlens.training.step import StepResult, train_step

__all__ = [
    "AdamWConfig",
    "BatchSource",
    "Carried",
    "ConstantSchedule",
    "CosineSchedule",
    "FitResult",
    "InverseSqrtSchedule",
    "LinearSchedule",
    "Observer",
    "Observers",
    "PlateauSchedule",
    "Progress",
    "ScheduleConfig",
    "StepResult",
    "TrainingConfig",
    "Validation",
    "fit",
    "train_step",
]
