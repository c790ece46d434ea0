"""Train a recipe into a run folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqlens.config import dump_config, load_config, write_atomically, write_json
from seqlens.data.corpus import DataConfig
from seqlens.data.sampler import length_batches
from seqlens.errors import RequestError
from seqlens.inference import choose_device, load, write_run
from seqlens.inference.predictor import Predictor
from seqlens.inference.run_folder import CODEC_FOLDER
from seqlens.inspection import gradient_through_time, gradient_warning
from seqlens.models.encoders import RecurrentEncoder
from seqlens.models.transducer import Transducer
from seqlens.tasks.build import Task
from seqlens.tasks.transduce.validation import validate
from seqlens.training.loop import fit
from seqlens.training.observer import FitResult, Observer
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import RECIPE_FILE as RECIPE_FILE
from seqlens.workflows.claim import claim_folder
from seqlens.workflows.initial import (
    INIT_WEIGHTS_FILE,
    Initial,
    forget_initial,
    put_stored_weights,
    read_init_record,
    read_initial,
)
from seqlens.workflows.model_card import model_card
from seqlens.workflows.preparation import Announce, Prepared, make_batches, prepare, with_absolute_paths
from seqlens.workflows.recipes import find_recipe

METRICS_FILE = "metrics.json"
_NAME_COMMENT = "# recipe: "


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """What `train` returns: where the run is, how training went, and the model ready to use."""

    path: Path
    result: FitResult
    predictor: Predictor


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

    Raises:
        RequestError: the recipe, the data or the folder is not as it must be. WorkError: the work itself failed.
    """
    announce = announce or (lambda text: None)
    target_device = choose_device(device)
    name, config = _read_recipe(recipe, out, overrides, resume=resume)
    folder = Path(out) if out is not None else Path("runs") / name
    config = claim_folder(folder, config, resume=resume, announce=announce)
    codec_folder = folder / CODEC_FOLDER
    # The weights belong to the codec that was fitted first. The recipe is written after it, so that codec is whole.
    resumed = resume and (folder / RECIPE_FILE).is_file()
    initial = _find_initial(init, init_vocabulary, folder, resumed=resumed)
    if initial is not None:
        config = initial.settings(config)
    prepared = prepare(
        config,
        codec_folder=codec_folder if resumed else None,
        announce=announce,
        fit=None if initial is None else lambda corpus: initial.fit_task(config, corpus),
    )
    announce(_summary(prepared))
    model = fresh_model(prepared.task, config.seed)
    prepared.task.save(codec_folder)
    if initial is not None:
        copied = initial.put_weights(model, prepared.task)
        initial.write(folder, model, copied)
        announce(_told_initial(initial, prepared, copied))
    elif resumed:
        put_stored_weights(model, folder)
    else:
        forget_initial(folder)
    write_atomically(folder / RECIPE_FILE, f"{_NAME_COMMENT}{name}\n{dump_config(config)}")
    result = run_fit(model, prepared, config, folder, resume=resume, observer=observer, device=target_device)
    finish_run(name, prepared, config, model, result, folder)
    return TrainedRun(folder, result, load(folder, device=target_device))


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
) -> FitResult:
    """Trains a prepared recipe's model in `folder`.

    `score_pairs` are the inputs and targets of the validation scores; by default the first of the validation split,
    as many as the recipe says.
    """
    task = prepared.task
    source = make_batches(prepared, prefetch=config.batches.prefetch)
    validation_batches = length_batches(prepared.validation.lengths, config.batches.max_tokens)
    if score_pairs is None:
        score_pairs = _first(prepared, task.config.validation_examples) if task.config.validation_scores else []

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
        )
    finally:
        source.close()


def finish_run(
    name: str, prepared: Prepared, config: RunConfig, model: Transducer, result: FitResult, folder: Path
) -> None:
    """Makes the folder of a training a run that can be loaded: weights, record, scores, model card."""
    model.to("cpu")
    facts = run_facts(name, prepared, config, result)
    init = read_init_record(folder)
    if init is not None:
        facts["init"] = init
    write_json(folder / METRICS_FILE, {"validation": dict(result.best_metrics), "step": result.best_step})
    write_atomically(folder / "README.md", model_card(name, config, prepared.task, model, facts))
    write_run(folder, prepared.task, model, facts)
    if result.stop_reason != "interrupted":
        (folder / INIT_WEIGHTS_FILE).unlink(missing_ok=True)


def run_facts(name: str, prepared: Prepared, config: RunConfig, result: FitResult) -> dict[str, Any]:
    """What `run.json` says of a training beyond its files."""
    return {
        "recipe": name,
        "seed": config.seed,
        "data": {
            "name": prepared.corpus.name,
            "source": prepared.corpus.source_name,
            "target": prepared.corpus.target_name,
            "num_train": len(prepared.train),
            "num_left_out": prepared.num_left_out,
            "fingerprints": prepared.fingerprints,
            "context_sentences": prepared.corpus.context_sentences,
        },
        "training": {
            "steps": result.steps,
            "epochs": round(result.epochs, 3),
            "seconds": round(result.seconds, 1),
            "stop_reason": result.stop_reason,
        },
        "weights": {"kind": result.weights, "step": result.best_step, "validation": dict(result.best_metrics)},
    }


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
    if read_init_record(folder) is None:
        raise RequestError(f"{folder} was not started from another run, so it cannot be resumed with --init.")
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
    found = find_recipe(recipe)
    config = load_config(RunConfig, found.path, overrides)
    return found.name, with_absolute_paths(config, found.path.parent, _written_data(found.path) if overrides else None)


def _written_data(recipe: Path) -> DataConfig | None:
    """The data that a recipe names itself; None where only overrides make it a valid one."""
    try:
        return load_config(RunConfig, recipe).data
    except RequestError:
        return None


def _stored_name(stored: Path) -> str:
    """The name of the recipe that a run folder was made from; that of the folder if it is not told."""
    first_line = stored.read_bytes().partition(b"\n")[0].decode("utf-8", errors="replace")
    return first_line.removeprefix(_NAME_COMMENT) if first_line.startswith(_NAME_COMMENT) else stored.parent.name


def fresh_model(task: Task, seed: int) -> Transducer:
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


def _first(prepared: Prepared, count: int) -> list[tuple[str, str]]:
    return [(pair.source, pair.target or "") for pair in islice(prepared.corpus.read("validation"), count)]


def _watch(model: Transducer) -> Callable[[nn.Module, Any], str | None] | None:
    """Only what reads step after step can lose its gradient on the way."""
    if not isinstance(model.encoder, RecurrentEncoder):
        return None

    def look(module: nn.Module, batch: Any) -> str | None:
        assert isinstance(module, Transducer)
        return gradient_warning(gradient_through_time(module, batch))

    return look


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
    )
