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

    Pairs with more than `max_length` tokens on a side are left out of training, and counted. `subword_dropout_p` cuts
    the words of training pairs another way in each epoch, on both sides (BPE dropout, Provilkov et al. 2020; 0.1 is
    their choice): each merge is passed over with this probability. Batches are planned by the codec's own lengths, so
    theirs grow by it: by a quarter with 0.1.
    """

    max_tokens: Annotated[int, Field(ge=1)] = 4096
    max_length: Annotated[int, Field(ge=1)] | None = None
    prefetch: Annotated[int, Field(ge=0)] = 4
    subword_dropout_p: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A recipe as a YAML file holds it; `seed` decides weights, order and dropout."""

    description: str = ""
    data: DataConfig = field(default_factory=DatesData)
    task: TaskConfig = field(default_factory=TaskConfig)
    batches: BatchesConfig = field(default_factory=BatchesConfig)
    training: TrainingConfig
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
