"""A recipe: everything a run is made of."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from seqlens.data.data_config import DataConfig, ExampleDataConfig, PairDataConfig, check_task_fits
from seqlens.data.dates import DatesData
from seqlens.errors import RequestError
from seqlens.tasks.build import ExampleTaskConfig, TaskConfig
from seqlens.tasks.transduce.config import TransduceConfig
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
    """A recipe as a YAML file holds it; `seed` decides weights, order and dropout.

    `train_fraction`: only this part of the training data is read, chosen by the seed; a smaller part lies in a larger.
    """

    description: str = ""
    data: DataConfig = field(default_factory=DatesData)
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    task: TaskConfig = field(default_factory=TransduceConfig)
    batches: BatchesConfig = field(default_factory=BatchesConfig)
    training: TrainingConfig
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    def __post_init__(self) -> None:
        check_task_fits(self.data, self.task.kind)
        if self.batches.subword_dropout_p and not self.learns_from_pairs:
            raise ValueError(
                f"'batches.subword_dropout_p' is for the task 'transduce', but the task is '{self.task.kind}'"
            )
        if self.batches.max_length is not None and self.task.kind == "mark":
            raise ValueError("'batches.max_length' is not for the task 'mark', whose 'crop_length' is its own limit")

    @property
    def learns_from_pairs(self) -> bool:
        """Whether the task is `transduce`; all others learn from examples."""
        return isinstance(self.task, TransduceConfig)

    @property
    def transduce(self) -> TransduceConfig:
        """The task of a recipe that learns from pairs. RequestError for another."""
        if not isinstance(self.task, TransduceConfig):
            raise RequestError(f"The task is '{self.task.kind}', expected 'transduce': this is for pairs of texts.")
        return self.task

    @property
    def pair_data(self) -> PairDataConfig:
        """The data of a recipe that learns from pairs. RequestError for another."""
        if not isinstance(self.data, PairDataConfig):
            raise RequestError(f"The data are '{self.data.kind}', expected pairs: this is for the task 'transduce'.")
        return self.data

    @property
    def example_task(self) -> ExampleTaskConfig:
        """The task of a recipe that learns from examples. RequestError for another."""
        if isinstance(self.task, TransduceConfig):
            raise RequestError("The task is 'transduce', expected one that learns from examples.")
        return self.task

    @property
    def example_data(self) -> ExampleDataConfig:
        """The data of a recipe that learns from examples. RequestError for another."""
        if isinstance(self.data, PairDataConfig):
            raise RequestError(f"The data are '{self.data.kind}', expected those of a task that learns from examples.")
        return self.data
