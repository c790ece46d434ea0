"""From something prepared to a fitted model: what the loop needs, put together for every kind of task."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from seqlens.data.fractions import whole_of
from seqlens.data.mixture import pieces_of
from seqlens.data.sampler import length_batches
from seqlens.data.splits import Corpus
from seqlens.errors import RequestError
from seqlens.inspection import gradient_through_time, gradient_warning
from seqlens.models.encoders import RecurrentEncoder
from seqlens.models.language_model import LanguageModel
from seqlens.models.transducer import Transducer
from seqlens.tasks.example_task import ExampleTask
from seqlens.tasks.generate.task import GenerateTask
from seqlens.tasks.loss_sum import LossSum
from seqlens.tasks.transduce.validation import validate, validated
from seqlens.training.best import check_metric
from seqlens.training.group import ALONE, Group
from seqlens.training.loop import fit
from seqlens.training.observer import FitResult, Observer
from seqlens.training.run_config import RunConfig
from seqlens.training.state import Carried
from seqlens.workflows.example_preparation import PreparedExamples
from seqlens.workflows.preparation import Prepared, make_batches

Model = TypeVar("Model", bound=nn.Module, covariant=True)


class Buildable(Protocol[Model]):
    """A task, as far as its model is concerned."""

    def build_model(self) -> Model: ...


def fresh_model(task: Buildable[Model], seed: int) -> Model:
    """The model of a task with the first weights that `seed` gives; the global random state is left as it is.

    Raises:
        RequestError: the parts of the model do not fit each other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return task.build_model()
        except ValueError as error:  # sizes of which each is valid, but not with the others
            raise RequestError(f"The model of 'task.model' cannot be built: {error}.") from error


def run_fit(
    model: Transducer,
    prepared: Prepared,
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    observer: Observer | None = None,
    device: torch.device | str = "cpu",
    score_pairs: Sequence[tuple[str, str]] | None = None,
    group: Group = ALONE,
) -> FitResult:
    """Trains a prepared recipe's model in `folder`, together with the other processes of `group`.

    `score_pairs` are the inputs and targets of the validation scores; by default the first of the validation split,
    as many as the recipe says.

    Raises:
        RequestError: validation does not give `config.training.metric`, or the processes have different data.
    """
    task = prepared.task
    _check_same_data(group, prepared.fingerprints, prepared.batches_per_epoch)
    check_metric(config.training.metric, validated(task))
    source = make_batches(prepared, prefetch=config.batches.prefetch, group=group)
    validation_batches = length_batches(prepared.validation.lengths, config.batches.max_tokens)
    if score_pairs is None:
        num_scored = task.config.validation_examples if task.config.validation_scores else 0
        score_pairs = scored_pairs(prepared.corpus, num_scored) if num_scored else []

    def validation(module: nn.Module) -> Mapping[str, float]:
        assert isinstance(module, Transducer)
        # Longer pairs than learned positions reach are cut, as `evaluate` cuts them.
        fitting = (task.fit_positions(module, prepared.validation.batch(indices)) for indices in validation_batches)
        batches = (batch.to(device) for batch in fitting)
        return validate(task, module, batches, score_pairs)

    try:
        return fit(
            model,
            compute_loss=task.loss,  # type: ignore[arg-type]
            loss_at=task.loss_at if task.config.scheduled_sampling is not None else None,  # type: ignore[arg-type]
            batches=source,
            batches_per_epoch=prepared.batches_per_epoch,
            validate=validation,
            config=config.training,
            folder=folder,
            seed=config.seed,
            resume=resume,
            observer=observer,
            watch=_watch(model),
            device=device,
            group=group,
        )
    finally:
        source.close()


def fit_examples(
    model: nn.Module,
    prepared: PreparedExamples,
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    observer: Observer | None = None,
    device: torch.device | str = "cpu",
    group: Group = ALONE,
) -> FitResult:
    """Trains the model of a recipe that learns from examples in `folder`. Group and RequestError as for `run_fit`."""
    _check_same_data(group, prepared.fingerprints, prepared.batches_per_epoch)
    check_metric(config.training.metric, prepared.task.validated)
    source = prepared.batches(prefetch=config.batches.prefetch, group=group)
    compute_loss, carried = _loss_of(prepared.task, model)
    try:
        return fit(
            model,
            compute_loss=compute_loss,
            carried=carried,
            batches=source,
            batches_per_epoch=prepared.batches_per_epoch,
            validate=lambda module: prepared.task.validate(module, prepared.validation, device),
            config=config.training,
            folder=folder,
            seed=config.seed,
            resume=resume,
            observer=observer,
            unit=prepared.task.unit,
            device=device,
            group=group,
        )
    finally:
        source.close()


def check_carried(task: ExampleTask[Any, Any], processes: int) -> None:
    """Refuses to share out a running text, whose state goes from batch to batch.

    Raises:
        RequestError: it is one, and there are several processes.
    """
    if processes > 1 and isinstance(task, GenerateTask) and task.running:
        raise RequestError(
            f"A model that carries its state from batch to batch is trained by one process, not by {processes}."
        )


def _check_same_data(group: Group, fingerprints: Mapping[str, str], batches_per_epoch: int) -> None:
    """Called by every process of a group, each with what it has found.

    Raises:
        RequestError: one of them has found something else than the first.
    """
    mine = (dict(fingerprints), batches_per_epoch)
    if group.largest(int(group.from_first(mine) != mine)):
        raise RequestError("The processes do not find the same training data: it must be the same on every machine.")


def _loss_of(
    task: ExampleTask[Any, Any], model: nn.Module
) -> tuple[Callable[[nn.Module, Any], LossSum], Carried | None]:
    """The loss of training, and what it carries from batch to batch: the state of a language model's running text."""
    if not isinstance(task, GenerateTask) or not isinstance(model, LanguageModel):
        return task.loss, None
    carried = task.carried_state(model)
    return partial(task.loss, carried=carried), carried


def scored_pairs(corpus: Corpus, count: int) -> list[tuple[str, str]]:
    """The first pairs of validation; of a mixture as many as spread evenly over it, so that all parts are scored."""
    pairs = [(pair.source, pair.target or "") for pair in corpus.read("validation")]
    if len(pairs) <= count or len(pieces_of(whole_of(corpus), "validation")) == 1:
        return pairs[:count]
    return [pairs[number * len(pairs) // count] for number in range(count)]


def _watch(model: Transducer) -> Callable[[nn.Module, Any], str | None] | None:
    """Only what reads step after step can lose its gradient on the way."""
    if not isinstance(model.encoder, RecurrentEncoder):
        return None

    def look(module: nn.Module, batch: Any) -> str | None:
        assert isinstance(module, Transducer)
        return gradient_warning(gradient_through_time(module, batch))

    return look
