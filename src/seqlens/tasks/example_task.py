"""What training, evaluation and prediction need of a task that learns from examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

from seqlens.metrics import Statistics
from seqlens.tasks.dataset import Dataset
from seqlens.tasks.loss_sum import LossSum

Example = TypeVar("Example", contravariant=True)
Answer_ = TypeVar("Answer_")


@runtime_checkable
class Answer(Protocol):
    """What comes back for an input: `str()` is a line for a person, `to_plain()` what JSON can hold."""

    def to_plain(self) -> dict[str, Any]: ...


@runtime_checkable
class TaskSettings(Protocol):
    """The part of a recipe that a task owns."""

    @property
    def kind(self) -> str: ...

    @property
    def model(self) -> Any: ...


@runtime_checkable
class ExampleTask(Protocol[Example, Answer_]):
    """A fitted task: settings, codecs, names of labels. Models are passed in, never held."""

    @property
    def config(self) -> TaskSettings: ...

    @property
    def unit(self) -> str:
        """What the loss counts: `examples`, `tokens`, `bases`."""

    @property
    def validated(self) -> Sequence[str]:
        """The names of what `validate` gives, so that a misspelt one is told before training."""

    def save(self, folder: Path) -> None:
        """Writes what was fitted, as JSON; the settings stand in the run's `task.yaml`."""

    def build_model(self) -> nn.Module:
        """A model with fresh weights. ValueError where its sizes do not fit each other."""

    def describe(self) -> dict[str, str]:
        """Rows of the model card: `task`, `vocabulary`, …"""

    def encode(self, examples: Sequence[Example], *, training: bool, seed: int) -> Dataset:
        """The examples as ids; `training` ones may be drawn anew in each epoch, by `seed`."""

    def loss(self, model: nn.Module, batch: Any) -> LossSum:
        """The loss of a batch as a sum and a count; `parts["nll"]` is it without what only training adds."""

    def validate(self, model: nn.Module, data: Dataset, device: torch.device | str) -> dict[str, float]:
        """`loss` and the metrics that a recipe may choose weights by."""

    def finished(self, model: nn.Module, data: Dataset, device: torch.device | str) -> "ExampleTask[Example, Answer_]":
        """The task after training, with what is fitted to the chosen weights on validation data (a temperature)."""

    def input_of(self, example: Example) -> Any:
        """What `predict` is given of an example whose answer is known."""

    def read_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Checks the settings that `predict` takes by name. RequestError for one that there is not."""

    def predict(
        self,
        model: nn.Module,
        inputs: Sequence[Any],
        *,
        batch_size: int = 64,
        settings: Mapping[str, Any] | None = None,
    ) -> list[Answer_]:
        """Answers for inputs, in their order. RequestError for an input that is none."""

    def statistics(self, examples: Sequence[Example], answers: Sequence[Answer_]) -> dict[str, Statistics]:
        """The field's measures by name, the first one first; with a row an example, so that they have intervals."""

    def baselines(self, train: Sequence[Example], examples: Sequence[Example]) -> dict[str, dict[str, Statistics]]:
        """The strongest cheap systems by name, fitted on `train`, with the measures that they have."""

    def prediction_files(self, examples: Sequence[Example], answers: Sequence[Answer_]) -> dict[str, str]:
        """Files by name, from which another program can compute the same scores."""
