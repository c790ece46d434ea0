"""Everything about a training that must survive a kill, gathered from the parts that own it."""

from collections.abc import Mapping
from typing import Any, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from seqlens.models.weights import load_weights, pack_weights
from seqlens.training.averaging import MovingAverage
from seqlens.training.best import BestTracker
from seqlens.training.checkpoint import Checkpoint
from seqlens.training.config import TrainingConfig
from seqlens.training.optimizer import Optimizer
from seqlens.training.recent import RecentSteps
from seqlens.training.schedule import Schedule
from seqlens.training.step import StepResult


@runtime_checkable
class BatchSource(Protocol):
    """An endless iterator of batches, whose state is how many were *taken*, whatever it read ahead."""

    @property
    def epoch(self) -> int:
        """The pass over the data, from 0, that the next batch belongs to."""

    def __next__(self) -> Any:
        """Returns the next batch (it must have `.to(device)`)."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the position as JSON values."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to that position: the next batch is the one that would have been next."""


@runtime_checkable
class Carried(Protocol):
    """What the loss of one batch leaves for that of the next, such as the state of a language model."""

    def state_tensors(self) -> dict[str, Tensor]:
        """Returns all of it as tensors; none before the first batch."""

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `state_tensors` returned. ValueError if that was of another model."""


@final
class TrainingState:
    """The parts of a training, and the way to a checkpoint and back."""

    def __init__(
        self,
        model: nn.Module,
        batches: BatchSource,
        config: TrainingConfig,
        *,
        batches_per_epoch: int,
        device: torch.device,
        carried: Carried | None = None,
    ) -> None:
        """Starts at step 0 with the weights that `model` has."""
        self.model = model
        self.batches = batches
        self.carried = carried
        self.device = device
        self.last_step = config.last_step(batches_per_epoch)
        self.optimizer = Optimizer(model, config.optimizer)
        self.schedule = Schedule(
            config.schedule, learning_rate=config.optimizer.learning_rate, last_step=self.last_step
        )
        self.average = MovingAverage(model, config.ema_decay) if config.ema_decay is not None else None
        self.best = BestTracker(config.metric, config.mode, patience=config.patience)
        self.recent = RecentSteps(config.log_every)
        self.step = 0
        self.tokens = 0
        self.skipped = 0
        self.skipped_in_row = 0
        self.validated_step = -1 if config.validate_start else 0

    def take(self, result: StepResult) -> None:
        """Counts a step that was made."""
        self.step += 1
        self.tokens += result.count
        self.recent.append(result)
        if result.updated or result.count == 0:
            self.skipped_in_row = 0
        else:
            self.skipped += 1
            self.skipped_in_row += 1
        if self.average is not None:
            self.average.update(self.model)

    def checkpoint(self, *, log_bytes: int, clock: Mapping[str, float | int]) -> Checkpoint:
        """Returns the present state; `log_bytes` is the length of the log that belongs to it."""
        packed = pack_weights(self.model)
        tensors = {
            "model": packed.tensors,
            "optimizer": self.optimizer.state_tensors(),
        }
        state = {
            "aliases": packed.aliases,
            "batches": self.batches.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best": self.best.state_dict(),
            "recent": self.recent.state_dict(),
            "tokens": self.tokens,
            "skipped": self.skipped,
            "skipped_in_row": self.skipped_in_row,
            "validated_step": self.validated_step,
            "log_bytes": log_bytes,
        }
        if self.average is not None:
            tensors["average"] = self.average.state_tensors()
            state["average"] = self.average.state_dict()
        if self.carried is not None:
            tensors["carried"] = self.carried.state_tensors()
        return Checkpoint(self.step, self.best.step, tensors, state, clock)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to where `checkpoint` was taken.

        Raises:
            ValueError: it was taken of another model, without the carried state that is kept now, or with a moving
                average where none is kept now, or the other way round.
        """
        state, tensors = checkpoint.state, checkpoint.tensors
        if self.average is not None and "average" not in tensors:
            raise ValueError("it holds no moving average of the weights, but 'training.ema_decay' is set")
        if self.average is None and "average" in tensors:
            raise ValueError(
                "it holds a moving average of the weights, by which the best were chosen, but 'training.ema_decay' is "
                "not set"
            )
        if self.carried is not None and "carried" not in tensors:
            raise ValueError("it holds nothing carried from batch to batch, which this training does")
        load_weights(self.model, tensors["model"], state["aliases"])
        self.optimizer.load_state_tensors(tensors["optimizer"])
        if self.average is not None:
            self.average.load_state(tensors["average"], state["average"])
        if self.carried is not None:
            self.carried.load_state_tensors(tensors["carried"])
        self.batches.load_state_dict(state["batches"])
        self.schedule.load_state_dict(state["schedule"])
        self.best.load_state_dict(state["best"])
        self.recent.load_state_dict(state["recent"])
        self.step = checkpoint.step
        self.tokens = state["tokens"]
        self.skipped = state["skipped"]
        self.skipped_in_row = state["skipped_in_row"]
        self.validated_step = state["validated_step"]
