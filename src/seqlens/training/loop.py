"""The training loop."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from seqlens.errors import DivergedError
from seqlens.tasks.loss_sum import LossSum
from seqlens.training.best import doubt_mode, doubt_value, finite
from seqlens.training.checkpoint import CHECKPOINTS_FOLDER, CheckpointStore
from seqlens.training.config import TrainingConfig
from seqlens.training.final_weights import FinalWeights, put_final_weights
from seqlens.training.group import ALONE, Group
from seqlens.training.interruption import Interruption, noticing_interruption
from seqlens.training.journal import Journal
from seqlens.training.observer import FitResult, Observer, Observers, Progress, StopReason, Validation
from seqlens.training.precision import Precision, choose_precision
from seqlens.training.randomness import seed_everything, seed_for, undisturbed_randomness
from seqlens.training.restoring import restore
from seqlens.training.schedule import doubt_end, doubt_warmup
from seqlens.training.state import BatchSource, Carried, TrainingState
from seqlens.training.step import StepResult, train_step

_REASONS: tuple[StopReason, ...] = ("interrupted", "max_seconds", "max_epochs", "max_steps")
MAX_SKIPPED_IN_ROW = 10
"""Steps without a finite gradient, one after the other, that end training."""


def fit(
    model: nn.Module,
    *,
    compute_loss: Callable[[nn.Module, Any], LossSum],
    batches: BatchSource,
    batches_per_epoch: int,
    validate: Callable[[nn.Module], Mapping[str, float]],
    config: TrainingConfig,
    folder: Path,
    seed: int,
    resume: bool = False,
    observer: Observer | None = None,
    watch: Callable[[nn.Module, Any], str | None] | None = None,
    loss_at: Callable[[int], Callable[[nn.Module, Any], LossSum]] | None = None,
    carried: Carried | None = None,
    unit: str = "tokens",
    device: torch.device | str = "cpu",
    group: Group = ALONE,
) -> FitResult:
    """Trains `model` in place, and leaves in it the weights that `config` asks for (by default the best), in eval mode.

    Writes `log.jsonl`, `times.jsonl` and `checkpoints/` in `folder`. Killed at any moment and called again with
    `resume=True`, it ends with the same bytes as if it had not been (apart from times; on one CPU configuration; not
    where time ends it or its schedule), provided `compute_loss` and `validate` keep no state of their own but in
    `carried`. The global random generators are seeded for each step and each validation by `seed` and the step's
    number, and are afterwards as they were.

    Args:
        compute_loss: the loss of a batch as a sum and a count; called in train mode.
        batches: an endless source; each batch has `.to(device)`.
        batches_per_epoch: for the length of the schedule and the time left.
        validate: the metrics of a model; called in eval mode without gradients.
        watch: called each `config.watch_every` steps, while the gradients of the step are there, with the step's last
            batch; a sentence it returns is passed to the observer, once for sentences that differ only in numbers.
        loss_at: where the loss depends on the number of the step, from 1, what gives it, instead of `compute_loss`.
        carried: what `compute_loss` keeps from one batch for the next; it becomes a part of the checkpoints.
        unit: what `compute_loss` counts, for people to read.
        group: the processes that train together, each calling this with its share of the same batches. The first one
            validates, writes and tells; all end with the same weights and result.

    Raises:
        RequestError: `folder` holds a training and `resume` is False, or it is one of another model; validation does
            not give `config.metric`.
        ValueError: several processes are to carry something from batch to batch.
        WorkError: the loss is not finite, the disk is full, or no checkpoint is whole.
    """
    if group.size > 1 and carried is not None:
        raise ValueError(f"'carried' is for one process, but the group has {group.size}")
    device = torch.device(device)
    observer = observer if observer is not None and group.is_first else Observers()
    keep = max(config.keep_checkpoints, config.average_last)
    store = CheckpointStore(folder / CHECKPOINTS_FOLDER, every=config.steps_between_checkpoints, keep=keep)
    doubts = [
        doubt_mode(config.metric, config.mode),
        doubt_warmup(config.schedule, config.last_step(batches_per_epoch)),
    ]
    for doubt in filter(None, doubts):
        observer.on_warning(doubt)
    model.to(device)
    with undisturbed_randomness(device), noticing_interruption() as interruption:
        state = TrainingState(
            model, batches, config, batches_per_epoch=batches_per_epoch, device=device, carried=carried
        )
        checkpoint = restore(state, store, folder, resume=resume, observer=observer, group=group)
        group.copy_from_first(model)
        with closing(Journal(folder if group.is_first else None, checkpoint, warn=observer.on_warning)) as journal:
            training = _Training(
                state=state,
                config=config,
                compute_loss=compute_loss,
                validation=validate,
                watch=watch,
                loss_at=loss_at,
                store=store,
                journal=journal,
                observer=observer,
                precision=choose_precision(config.precision, device),
                seed=seed,
                batches_per_epoch=batches_per_epoch,
                unit=unit,
                group=group,
            )
            reason = training.run(interruption)
            if reason in ("max_seconds", "early_stopping") and (early := doubt_end(config.schedule, state.step)):
                observer.on_warning(early)
            result = None
            if group.is_first:
                weights = put_final_weights(state, store, config, warn=observer.on_warning)
                asked = interruption.requested or reason == "interrupted"
                result = replace(training.result(reason, weights), asked_to_stop=asked)
            result = group.from_first(result)
            state.optimizer.clear_gradients()
            group.copy_from_first(model.eval())
    observer.on_end(result)
    return result


@final
@dataclass(slots=True)
class _Training:
    """What the loop does, one method for each line of it."""

    state: TrainingState
    config: TrainingConfig
    compute_loss: Callable[[nn.Module, Any], LossSum]
    validation: Callable[[nn.Module], Mapping[str, float]]
    watch: Callable[[nn.Module, Any], str | None] | None
    loss_at: Callable[[int], Callable[[nn.Module, Any], LossSum]] | None
    store: CheckpointStore
    journal: Journal
    observer: Observer
    precision: Precision
    seed: int
    batches_per_epoch: int
    unit: str
    group: Group
    _last_batch: Any = None
    _warned: set[str] = field(default_factory=set)

    @property
    def epochs(self) -> float:
        """Passes over the training data so far, a fraction included."""
        return self.state.step * self.config.accumulate_batches / self.batches_per_epoch

    def run(self, interruption: Interruption) -> StopReason:
        """Trains until something ends it. A kill anywhere in here is made good by the last checkpoint."""
        while True:
            reason = self.agreed(self.limit_reached(interruption))
            # An interrupted training leaves a validation that is due to the one that resumes it.
            if reason != "interrupted" and self.validation_due(ending=reason is not None):
                self.validate()
            if reason is None and self._stops_early():
                reason = "early_stopping"
            if reason is not None or self.checkpoint_due():
                self.save()
            if reason is not None:
                return reason
            self.step()

    def result(self, reason: StopReason, weights: FinalWeights) -> FitResult:
        """How it ended, with the weights that were put into the model."""
        best = self.state.best
        final = best.metrics
        if weights.step != best.step:  # no validation has seen these yet; who interrupts is not kept waiting for one
            final = {} if reason == "interrupted" else finite(self._validated())
        return FitResult(
            steps=self.state.step,
            epochs=self.epochs,
            seconds=self.journal.seconds,
            best_step=best.step,
            best_metrics=best.metrics,
            stop_reason=reason,
            weights=weights.kind,
            weights_step=weights.step,
            final_metrics=final,
            processes=self.group.size,
        )

    def agreed(self, reason: StopReason | None) -> StopReason | None:
        """The reason of any process to stop: their clocks differ, and a signal may have reached one of them only."""
        if self.group.size == 1:
            return reason
        number = self.group.largest(0 if reason is None else 1 + _REASONS.index(reason))
        return _REASONS[number - 1] if number else None

    def time_share(self) -> float:
        """How much of `max_seconds` is over, for a schedule that follows it; the same in every process."""
        if self.config.max_seconds is None or not self.state.schedule.follows_time:
            return 0.0
        return self.group.largest(min(1.0, self.journal.seconds / self.config.max_seconds))

    def limit_reached(self, interruption: Interruption) -> StopReason | None:
        config, state = self.config, self.state
        if config.max_steps is not None and state.step >= config.max_steps:
            return "max_steps"
        if config.max_epochs is not None and state.batches.epoch >= config.max_epochs:
            return "max_epochs"
        if config.max_seconds is not None and self.journal.seconds >= config.max_seconds:
            return "max_seconds"
        return "interrupted" if interruption.requested else None

    def validation_due(self, *, ending: bool) -> bool:
        step = self.state.step
        return self.state.validated_step != step and (ending or step % self.config.validate_every == 0)

    def checkpoint_due(self) -> bool:
        step = self.state.step
        return step % self.config.steps_between_checkpoints == 0 or step == self.state.best.step

    def save(self) -> None:
        if not self.group.is_first:
            return
        log_bytes, clock = self.journal.settle()
        self.store.save(self.state.checkpoint(log_bytes=log_bytes, clock=clock))

    def step(self) -> None:
        state, config = self.state, self.config
        start = time.perf_counter()
        epoch = state.batches.epoch
        learning_rate = state.schedule.learning_rate(state.step + 1, self.time_share())
        seed_everything(seed_for(self.seed, "step", state.step + 1, self.group.rank), state.device)
        state.model.train()
        result = train_step(
            state.model,
            self._next_batches(),
            self.compute_loss if self.loss_at is None else self.loss_at(state.step + 1),
            state.optimizer,
            learning_rate=learning_rate,
            gradient_clip=config.gradient_clip,
            precision=self.precision,
            group=self.group,
        )
        if not math.isfinite(result.total):
            raise DivergedError(f"The loss became {result.total} at step {state.step + 1}. {self._advice()}")
        state.take(result)
        if state.skipped_in_row == MAX_SKIPPED_IN_ROW:
            raise DivergedError(
                f"The gradient was not finite in {MAX_SKIPPED_IN_ROW} steps in a row, up to step {state.step}. "
                f"{self._advice()}"
            )
        self.journal.count_step(result, time.perf_counter() - start)
        self._report(result, learning_rate, epoch)
        if self.watch is not None and self.group.is_first and state.step % config.watch_every == 0:
            self._look(self.watch)

    def validate(self) -> None:
        state = self.state
        start = time.perf_counter()
        metrics = self.group.from_first(self._validated() if self.group.is_first else None)
        seconds = time.perf_counter() - start
        is_best = state.best.observe(state.step, metrics)
        if (doubt := doubt_value(self.config.metric, metrics, state.step)) is not None:
            self._warn_once(doubt)
        if state.best.step is not None:  # before there was a number, none can have been missed
            state.schedule.observe(is_best=is_best)
        state.validated_step = state.step
        self.journal.write_validation(state, metrics, is_best=is_best, seconds=seconds)
        self.observer.on_validation(Validation(state.step, metrics, is_best, seconds))

    def _validated(self) -> dict[str, float]:
        state = self.state
        state.model.eval()
        averaged = state.average.applied_to(state.model) if state.average is not None else nullcontext()
        seed_everything(seed_for(self.seed, "validation", state.step), state.device)
        with torch.no_grad(), averaged:
            found = self.validation(state.model)
        return {name: float(found[name]) for name in sorted(found)}  # the order that a checkpoint's JSON has

    def _next_batches(self) -> Iterator[Any]:
        for _ in range(self.config.accumulate_batches):
            self._last_batch = next(self.state.batches).to(self.state.device)
            yield self._last_batch

    def _report(self, result: StepResult, learning_rate: float, epoch: int) -> None:
        state = self.state
        progress = Progress(
            step=state.step,
            max_steps=state.last_step,
            epoch=self.epochs,
            loss=state.recent.loss,
            pace=self.journal.pace,
            unit=self.unit,
            seconds_left=self.journal.seconds_left(state, self.config.max_seconds),
            learning_rate=learning_rate,
            gradient_norm=result.gradient_norm,
        )
        if state.step % self.config.log_every == 0:
            self.journal.write_step(state, progress, epoch=epoch)
        self.observer.on_step(progress)

    def _look(self, watch: Callable[[nn.Module, Any], str | None]) -> None:
        warning = watch(self.state.model, self._last_batch)
        if warning is not None:
            self._warn_once(warning)

    def _stops_early(self) -> bool:
        """Whether the best is `patience` validations old; one that never was a number ends what nothing else ends."""
        config = self.config
        ends_otherwise = (config.max_steps or config.max_epochs or config.max_seconds) is not None
        return self.state.best.exhausted and (self.state.best.step is not None or not ends_otherwise)

    def _warn_once(self, warning: str) -> None:
        """Tells what was not told before with other numbers."""
        kind = re.sub(r"\d[\d.,]*(e[-+]?\d+)?", "#", warning)
        if kind not in self._warned:
            self._warned.add(kind)
            self.observer.on_warning(warning)

    def _advice(self) -> str:
        advice = "Lower 'training.optimizer.learning_rate' or lengthen 'training.schedule.warmup_steps'"
        if self.config.gradient_clip is None:
            advice += ", or set 'training.gradient_clip' (1.0, say)"
        newest = self.store.steps()[-1]
        return f"{advice}. The weights of step {newest} are kept in {self.store.path(newest)}."
