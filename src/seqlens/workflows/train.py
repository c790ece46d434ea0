"""Train a recipe into a run folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqlens.config import dump_config, load_config, to_plain, write_atomically, write_json
from seqlens.data.sampler import length_batches
from seqlens.errors import RequestError
from seqlens.inference import load, write_run
from seqlens.inference.predictor import Predictor
from seqlens.inference.run_folder import CODEC_FOLDER, RUN_FILE
from seqlens.inspection import gradient_through_time, gradient_warning
from seqlens.models.encoders import RecurrentEncoder
from seqlens.models.transducer import Transducer
from seqlens.tasks.build import Task
from seqlens.tasks.transduce.validation import validate
from seqlens.training.loop import fit
from seqlens.training.observer import FitResult, Observer
from seqlens.training.run_config import RunConfig
from seqlens.workflows.model_card import model_card
from seqlens.workflows.preparation import Announce, Prepared, make_batches, prepare, with_absolute_paths
from seqlens.workflows.recipes import find_recipe

RECIPE_FILE = "recipe.yaml"
METRICS_FILE = "metrics.json"


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
        observer: told of progress; `announce` is told, a sentence each, of what happens before and after.
        device: `auto` takes a CUDA device where there is one.

    Raises:
        RequestError: the recipe, the data or the folder is not as it must be. WorkError: the work itself failed.
    """
    announce = announce or (lambda text: None)
    name, config = _read_recipe(recipe, out, overrides, resume=resume)
    folder = Path(out) if out is not None else Path("runs") / name
    _claim(folder, config, resume=resume)
    codec_folder = folder / CODEC_FOLDER
    prepared = prepare(config, codec_folder=codec_folder if resume and codec_folder.is_dir() else None, announce=announce)
    announce(_summary(prepared, config))
    write_atomically(folder / RECIPE_FILE, dump_config(config))
    prepared.task.save(codec_folder)
    model = _fresh_model(prepared.task, config.seed)
    result = run_fit(model, prepared, config, folder, resume=resume, observer=observer, device=_device(device))
    model.to("cpu")
    facts = run_facts(name, prepared, config, result)
    write_json(folder / METRICS_FILE, {"validation": dict(result.best_metrics), "step": result.best_step})
    write_atomically(folder / "README.md", model_card(name, config, prepared.task, model, facts))
    write_run(folder, prepared.task, model, facts)
    return TrainedRun(folder, result, load(folder, device=device))


def run_fit(
    model: Transducer,
    prepared: Prepared,
    config: RunConfig,
    folder: Path,
    *,
    resume: bool,
    observer: Observer | None,
    device: torch.device,
) -> FitResult:
    """Trains a prepared recipe's model in `folder`."""
    task = prepared.task
    source = make_batches(prepared, prefetch=config.batches.prefetch)
    validation_batches = length_batches(prepared.validation.lengths, config.batches.max_tokens)
    texts = list(_first(prepared, task.config.validation_examples)) if task.config.validation_scores else []

    def validation(module: nn.Module) -> Mapping[str, float]:
        assert isinstance(module, Transducer)
        batches = (prepared.validation.batch(indices).to(device) for indices in validation_batches)
        return validate(task, module, batches, texts)

    try:
        return fit(
            model,
            compute_loss=task.loss,  # type: ignore[arg-type]
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
        },
        "training": {
            "steps": result.steps,
            "epochs": round(result.epochs, 3),
            "seconds": round(result.seconds, 1),
            "stop_reason": result.stop_reason,
        },
        "weights": {"kind": result.weights, "step": result.best_step, "validation": dict(result.best_metrics)},
    }


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
        return Path(out).name, load_config(RunConfig, stored, overrides)
    found = find_recipe(recipe)
    config = load_config(RunConfig, found.path, overrides)
    return found.name, with_absolute_paths(config, found.path.parent)


def _claim(folder: Path, config: RunConfig, *, resume: bool) -> None:
    """Refuses a folder that holds something else."""
    stored = folder / RECIPE_FILE
    if resume:
        if stored.is_file():
            earlier = load_config(RunConfig, stored)
            for part in ("data", "task", "batches", "seed"):
                if getattr(earlier, part) != getattr(config, part):
                    path = _first_difference(part, to_plain(earlier)[part], to_plain(config)[part])
                    raise RequestError(
                        f"{folder} was trained with another '{path}', so it cannot be resumed with this recipe; "
                        "only settings under 'training' may change. Without a recipe the folder's own is used."
                    )
        return
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file, expected a new folder for the run.")
    if folder.is_dir() and any(folder.iterdir()):
        what = "a finished run" if (folder / RUN_FILE).is_file() else "a training" if stored.is_file() else "other files"
        raise RequestError(f"{folder} holds {what} already. Give another --out, or --resume to go on with a training.")
    folder.mkdir(parents=True, exist_ok=True)


def _first_difference(path: str, earlier: object, now: object) -> str:
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in [*earlier, *now]:
            if earlier.get(key) != now.get(key):
                return _first_difference(f"{path}.{key}", earlier.get(key), now.get(key))
    return path


def _fresh_model(task: Task, seed: int) -> Transducer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.build_model()


def _device(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _first(prepared: Prepared, count: int) -> list[tuple[str, str]]:
    pairs = []
    for pair in prepared.corpus.read("validation"):
        if len(pairs) == count:
            break
        pairs.append((pair.source, pair.target or ""))
    return pairs


def _watch(model: Transducer) -> Callable[[nn.Module, Any], str | None] | None:
    """Only what reads step after step can lose its gradient on the way."""
    if not isinstance(model.encoder, RecurrentEncoder):
        return None

    def look(module: nn.Module, batch: Any) -> str | None:
        assert isinstance(module, Transducer)
        return gradient_warning(gradient_through_time(module, batch))

    return look


def _summary(prepared: Prepared, config: RunConfig) -> str:
    waste = prepared.sampler.padding_waste(0)
    left_out = ""
    if prepared.num_left_out:
        limit = config.batches.max_length
        left_out = f" {prepared.num_left_out:,} pairs longer than {limit} tokens are left out of training."
    return (
        f"{prepared.corpus.name} {prepared.corpus.source_name} to {prepared.corpus.target_name}: "
        f"{len(prepared.train):,} training pairs in {prepared.batches_per_epoch:,} batches an epoch, "
        f"padding waste {waste:.1%}.{left_out}"
    )
