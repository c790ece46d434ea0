"""A recipe: everything a run is made of."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from seqlens.data.corpus import DataConfig
from seqlens.data.dates import DatesData
from seqlens.tasks.build import TaskConfig
from seqlens.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class BatchesConfig:
    """How examples share a batch: at most `max_tokens` positions a side, padding counted.

    Pairs with more than `max_length` tokens on a side are left out of training, and counted.
    """

    max_tokens: Annotated[int, Field(ge=1)] = 4096
    max_length: Annotated[int, Field(ge=1)] | None = None
    prefetch: Annotated[int, Field(ge=0)] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A recipe as a YAML file holds it; `seed` decides weights, order and dropout."""

    description: str = ""
    data: DataConfig = field(default_factory=DatesData)
    task: TaskConfig = field(default_factory=TaskConfig)
    batches: BatchesConfig = field(default_factory=BatchesConfig)
    training: TrainingConfig
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
