"""A tiny regression that trains in milliseconds: `y = w x + b` over eight batches of unequal sizes."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from seqlens.tasks.loss_sum import LossSum
from seqlens.training import FitResult, Progress, TrainingConfig, Validation, fit


class Points(NamedTuple):
    """A batch."""

    x: Tensor
    y: Tensor

    def to(self, device: torch.device) -> "Points":
        return Points(self.x.to(device), self.y.to(device))


class PointsSource:
    """Endless batches; batch number n is always the same one."""

    def __init__(self, batches: list[Points]) -> None:
        self.batches = batches
        self.taken = 0

    @property
    def epoch(self) -> int:
        return self.taken // len(self.batches)

    def __next__(self) -> Points:
        batch = self.batches[self.taken % len(self.batches)]
        self.taken += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.taken = state["taken"]


class Recorder:
    """An observer that remembers everything."""

    def __init__(self) -> None:
        self.steps: list[Progress] = []
        self.validations: list[Validation] = []
        self.warnings: list[str] = []
        self.results: list[FitResult] = []

    def on_step(self, progress: Progress) -> None:
        self.steps.append(progress)

    def on_validation(self, validation: Validation) -> None:
        self.validations.append(validation)

    def on_warning(self, text: str) -> None:
        self.warnings.append(text)

    def on_end(self, result: FitResult) -> None:
        self.results.append(result)


def squared_error(model: nn.Module, batch: Points) -> LossSum:
    total = (model(batch.x) - batch.y).square().sum()
    return LossSum(total, len(batch.x), {"absolute": float((model(batch.x) - batch.y).detach().abs().sum())})


@pytest.fixture(autouse=True)
def _without_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def points() -> list[Points]:
    generator = torch.Generator().manual_seed(0)
    batches = []
    for size in (3, 5, 2, 7, 4, 6, 1, 8):
        x = torch.randn(size, 3, generator=generator)
        batches.append(Points(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3))
    return batches


@pytest.fixture
def linear() -> nn.Module:
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.2, 0.1, -0.4]]))
        model.bias.fill_(0.1)
    return model


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def loss_of_points() -> Callable[[nn.Module, Points], LossSum]:
    return squared_error


@pytest.fixture
def train(points: list[Points], linear: nn.Module, recorder: Recorder, tmp_path: Path) -> Callable[..., FitResult]:
    """Calls `fit` on the regression; every argument can be replaced."""

    def validate(model: nn.Module) -> dict[str, float]:
        losses = [squared_error(model, batch) for batch in points]
        return {"loss": sum(float(loss.total) for loss in losses) / sum(loss.count for loss in losses)}

    def call(config: TrainingConfig, **changes: Any) -> FitResult:
        arguments: dict[str, Any] = {
            "compute_loss": squared_error,
            "batches": PointsSource(points),
            "batches_per_epoch": len(points),
            "validate": validate,
            "folder": tmp_path / "run",
            "seed": 1,
            "observer": recorder,
        }
        return fit(changes.pop("model", linear), config=config, **{**arguments, **changes})

    return call
