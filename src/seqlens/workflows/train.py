"""Train a recipe into a run folder."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from seqlens.config import dump_config, load_config, write_atomically
from seqlens.config.locking import locked
from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor, Predictor, choose_device, load
from seqlens.inference.run_folder import CODEC_FOLDER
from seqlens.report.numbers import told_cut
from seqlens.tasks.transduce.validation import validated
from seqlens.training.best import check_metric
from seqlens.training.checkpoint import has_checkpoint
from seqlens.training.group import told_place
from seqlens.training.observer import FitResult, Observer, Observers
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import RECIPE_FILE as RECIPE_FILE
from seqlens.workflows.claim import check_same_data, claim_folder, write_data_record
from seqlens.workflows.data_paths import with_absolute_paths
from seqlens.workflows.example_preparation import PreparedExamples, prepare_examples
from seqlens.workflows.finishing import finish_example_run, finish_run
from seqlens.workflows.fitting import check_carried, fit_examples, fresh_model, run_fit
from seqlens.workflows.follow import follow
from seqlens.workflows.initial import (
    Initial,
    check_resumed,
    forget_initial,
    put_stored_weights,
    read_initial,
)
from seqlens.workflows.open_data import without_test
from seqlens.workflows.preparation import Announce, Prepared, prepare
from seqlens.workflows.processes import check_processes, training_group
from seqlens.workflows.recipe_config import resolve_recipe
from seqlens.workflows.seen_before import seen_before

_NAME_COMMENT = "# recipe: "


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """What `train` returns: where the run is, how training went, and the model ready to use."""

    path: Path
    result: FitResult
    predictor: Predictor | ExamplePredictor


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a training after the step in progress; `run` is what it came to, with a checkpoint.

    A KeyboardInterrupt, so that a loop over several trainings ends too, where nobody catches it; for that it is raised
    even if this one had just ended by itself, as `run.result.stop_reason` tells.
    """

    def __init__(self, run: TrainedRun) -> None:
        super().__init__(run)
        self.run = run

    def __str__(self) -> str:
        steps = f"{self.run.result.steps:,}"
        if self.run.result.stop_reason != "interrupted":
            return f"interrupted when the training in {self.run.path} had ended, at step {steps}"
        return f"interrupted at step {steps}; `resume=True` goes on in {self.run.path}"


def train(
    recipe: str | Path | RunConfig | None = None,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, object] | Sequence[str] = (),
    resume: bool = False,
    init: str | Path | None = None,
    init_vocabulary: str = "kept",
    observer: Observer | None = None,
    announce: Announce | None = None,
    device: str = "auto",
    processes: int = 1,
) -> TrainedRun:
    """Trains a recipe into the folder `out` (default `runs/<name of the recipe>`).

    Args:
        recipe: a recipe's name, a YAML file, or a `RunConfig`; with `resume` it may be None: that of the folder.
        out: the run folder; without `resume` it must be new or empty.
        overrides: settings that differ, `{"training.max_steps": 500}` or `["training.max_steps=500"]`.
        resume: go on with the training in `out` where its newest checkpoint ends.
        init: a run to start from (fine-tuning): its weights and its codec. The model must be the recipe's, but for
            dropout; optimiser and schedule begin anew. A resumed training does not need that run any more.
        init_vocabulary: `kept`, or `extended`: new words (characters, for a codec of characters or subwords) and tags
            of the training data are added, with fresh weights.
        observer: told of progress; `announce` is told, a sentence each, of what happens before and after.
        device: `auto` takes a CUDA device where there is one.
        processes: how many train together on this machine, each on its rows of every batch (on CUDA each has a device
            of its own). Under torchrun, on one machine or several, its processes do so and this stays 1: each of them
            calls this function alike, with a folder that all can reach.

    Raises:
        RequestError: the recipe, the data or the folder is not as it must be. WorkError: the work itself failed.
        TrainingInterrupted: a KeyboardInterrupt, after Ctrl-C or SIGTERM; the run folder is whole, `resume` goes on.
    """
    announce = announce or (lambda text: None)
    target_device = choose_device(device)
    check_processes(processes, target_device)
    name, config = _read_recipe(recipe, out, overrides, resume=resume)
    folder = Path(out) if out is not None else Path("runs") / name
    place = told_place()
    if place.rank:
        return _ended(folder, follow(folder, place, target_device), target_device)
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file, expected a new folder for the run.")
    with locked(folder, "training"):
        config = claim_folder(folder, config, resume=resume, announce=announce)
        start = _Start(name, config, folder, resume, observer, announce, target_device, processes)
        if config.learns_from_pairs:
            result = _train_on_pairs(start, init, init_vocabulary)
        else:
            if init is not None:
                raise RequestError(f"--init is for runs of the task 'transduce', but the task is '{config.task.kind}'.")
            result = _train_on_examples(start)
    return _ended(folder, result, target_device)


def _ended(folder: Path, result: FitResult, device: torch.device) -> TrainedRun:
    run = TrainedRun(folder, result, load(folder, device=device))
    if result.asked_to_stop:
        raise TrainingInterrupted(run)
    return run


@dataclass(frozen=True, slots=True)
class _Start:
    """What a training starts with."""

    name: str
    config: RunConfig
    folder: Path
    resume: bool
    observer: Observer | None
    announce: Announce
    device: torch.device
    processes: int

    @property
    def is_resumed(self) -> bool:
        """Whether there is a training to go on with: the recipe is written after the codec, so that is whole then."""
        return self.resume and (self.folder / RECIPE_FILE).is_file()

    def announce_cut(self, model: nn.Module, prepared: PreparedExamples) -> None:
        """Tells how many training examples are longer than the model reads."""
        num_cut = prepared.num_longer_than(getattr(model, "max_length", None))
        if num_cut:
            self.announce(told_cut(num_cut, len(prepared.train), f"training {prepared.corpus.noun[1]}"))

    def check_data(self, fingerprints: Mapping[str, str]) -> None:
        if self.is_resumed:
            check_same_data(self.folder, fingerprints)

    @contextmanager
    def recipe_written(self, config: RunConfig, fingerprints: Mapping[str, str]) -> Iterator[None]:
        """Writes the recipe into the folder; where a training refuses to go on by it, that is the earlier one again."""
        path = self.folder / RECIPE_FILE
        earlier = path.read_bytes() if self.is_resumed else None
        if earlier is None:
            write_data_record(self.folder, fingerprints)
        write_atomically(path, f"{_NAME_COMMENT}{self.name}\n{dump_config(config)}")
        try:
            yield
        except RequestError:
            if earlier is not None:
                write_atomically(path, earlier)
            raise


def _train_on_examples(start: _Start) -> FitResult:
    config, folder = start.config, start.folder
    codec_folder = folder / CODEC_FOLDER
    # Only a model has all that a task was fitted to, such as counts: without a checkpoint it is fitted again.
    fitted = start.is_resumed and has_checkpoint(folder)
    prepared = prepare_examples(
        config,
        codec_folder=codec_folder if fitted else None,
        announce=start.announce,
        check_data=start.check_data,
    )
    start.announce(prepared.summary)
    start.announce(f"The task: {prepared.task.describe()['task']}.")
    check_carried(prepared.task, max(start.processes, told_place().size))
    check_metric(config.training.metric, prepared.task.validated)
    model = fresh_model(prepared.task, config.seed)
    start.announce_cut(model, prepared)
    prepared.task.save(codec_folder)
    with (
        start.recipe_written(config, prepared.fingerprints),
        training_group(folder, start.device, start.processes) as group,
    ):
        device = torch.device(group.device)
        result = fit_examples(
            model,
            prepared,
            config,
            folder,
            resume=start.resume,
            observer=start.observer,
            device=device,
            group=group,
        )
        finish_example_run(start.name, prepared, config, model, result, folder, device)
        group.wait()
    return result


def _train_on_pairs(start: _Start, init: str | Path | None, init_vocabulary: str) -> FitResult:
    config, folder, announce, resume = start.config, start.folder, start.announce, start.resume
    codec_folder = folder / CODEC_FOLDER
    # The weights belong to the codec that was fitted first.
    resumed = start.is_resumed
    initial = _find_initial(init, init_vocabulary, folder, resumed=resumed)
    if initial is not None:
        if kept := initial.kept_codec(config):
            announce(kept)
        config = initial.settings(config)
    prepared = prepare(
        config,
        codec_folder=codec_folder if resumed else None,
        announce=announce,
        fit=None if initial is None else lambda corpus: initial.fit_task(config, corpus),
        check_data=start.check_data,
    )
    announce(_summary(prepared))
    if prepared.doubt is not None:
        (start.observer or Observers()).on_warning(prepared.doubt)
    check_metric(config.training.metric, validated(prepared.task))
    model = fresh_model(prepared.task, config.seed)
    prepared.task.save(codec_folder)
    if initial is not None:
        copied = initial.put_weights(model, prepared.task)
        initial.write(folder, model, copied)
        announce(_told_initial(initial, prepared, copied))
        if warning := seen_before(initial.run.path, prepared.corpus):
            (start.observer or Observers()).on_warning(warning)
    elif resumed:
        put_stored_weights(model, folder)
    else:
        forget_initial(folder)
    with (
        start.recipe_written(config, prepared.fingerprints),
        training_group(folder, start.device, start.processes) as group,
    ):
        device = torch.device(group.device)
        result = run_fit(
            model, prepared, config, folder, resume=resume, observer=start.observer, device=device, group=group
        )
        finish_run(start.name, prepared, config, model, result, folder)
        group.wait()
    return result


def _find_initial(init: str | Path | None, vocabulary: str, folder: Path, *, resumed: bool) -> Initial | None:
    """The run to start from; None for a training that starts by itself, or has started before."""
    if init is None:
        if vocabulary != "kept":
            raise RequestError(
                f"The initial vocabulary is '{vocabulary}', but no run to start from was named (--init)."
            )
        return None
    if not resumed:
        return read_initial(init, vocabulary)
    check_resumed(init, vocabulary, folder)
    return None


def _told_initial(initial: Initial, prepared: Prepared, copied: Mapping[str, int]) -> str:
    task = prepared.task
    sizes = {"source": task.source_codec.size, "target": task.target_codec.size}
    fresh = {side: sizes[side] - copied[side] for side in sizes}
    new = "none is new" if not any(fresh.values()) else f"{fresh['source']:,} and {fresh['target']:,} are new"
    return (
        f"Starting from {initial.run.path}, with the weights of {copied['source']:,} source and "
        f"{copied['target']:,} target symbols; {new}."
    )


def _read_recipe(
    recipe: str | Path | RunConfig | None,
    out: str | Path | None,
    overrides: Mapping[str, object] | Sequence[str],
    *,
    resume: bool,
) -> tuple[str, RunConfig]:
    if isinstance(recipe, RunConfig):
        if overrides:
            raise RequestError("'overrides' are for a recipe's name or file; a RunConfig is changed by itself.")
        return "run", with_absolute_paths(recipe, Path())
    if recipe is None:
        if not resume or out is None:
            raise RequestError("No recipe was named, expected a recipe's name or file, or a folder to resume.")
        stored = Path(out) / RECIPE_FILE
        if not stored.is_file():
            raise RequestError(f"{out} holds no training to resume: it has no {RECIPE_FILE}.")
        return _stored_name(stored), load_config(RunConfig, stored, overrides)
    return resolve_recipe(recipe, overrides)


def _stored_name(stored: Path) -> str:
    """The name of the recipe that a run folder was made from; that of the folder if it is not told."""
    first_line = stored.read_bytes().partition(b"\n")[0].decode("utf-8", errors="replace")
    return first_line.removeprefix(_NAME_COMMENT) if first_line.startswith(_NAME_COMMENT) else stored.parent.name


def _summary(prepared: Prepared) -> str:
    waste = prepared.sampler.padding_waste(0)
    left_out = ""
    if prepared.num_left_out:
        count = "1 pair" if prepared.num_left_out == 1 else f"{prepared.num_left_out:,} pairs"
        verb = "is" if prepared.num_left_out == 1 else "are"
        left_out = f" {count} longer than {prepared.max_length} tokens {verb} left out of training."
    return (
        f"{prepared.corpus.name} {prepared.corpus.source_name} to {prepared.corpus.target_name}: "
        f"{len(prepared.train):,} training pairs in {prepared.batches_per_epoch:,} batches an epoch, "
        f"padding waste {waste:.1%}.{left_out}"
        f"{without_test(prepared.corpus.splits, 'pairs')}"
    )
