"""A training that has ended becomes a run that can be loaded: weights, record, scores, model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqlens.config import write_atomically, write_json
from seqlens.inference import write_run
from seqlens.inference.run_folder import StoredTask
from seqlens.models.transducer import Transducer
from seqlens.training.observer import FitResult
from seqlens.training.run_config import RunConfig
from seqlens.workflows.example_preparation import PreparedExamples
from seqlens.workflows.initial import INIT_WEIGHTS_FILE, read_init_record
from seqlens.workflows.model_card import model_card
from seqlens.workflows.preparation import Prepared

METRICS_FILE = "metrics.json"


def finish_run(
    name: str, prepared: Prepared, config: RunConfig, model: Transducer, result: FitResult, folder: Path
) -> None:
    """Makes the folder of a training on pairs a run."""
    data = {
        "name": prepared.corpus.name,
        "source": prepared.corpus.source_name,
        "target": prepared.corpus.target_name,
        "num_train": len(prepared.train),
        "num_left_out": prepared.num_left_out,
        "fingerprints": prepared.fingerprints,
        "context_sentences": prepared.corpus.context_sentences,
    }
    task = prepared.task
    describe = {
        "task": f"{task.config.kind}: {data['source']} to {data['target']}",
        "vocabulary": f"{task.source_codec.size:,} source, {task.target_codec.size:,} target",
    }
    _write(name, config, task, model, describe, data, result, folder)


def finish_example_run(
    name: str,
    prepared: PreparedExamples,
    config: RunConfig,
    model: nn.Module,
    result: FitResult,
    folder: Path,
    device: torch.device | str,
) -> None:
    """Makes the folder of a training on examples a run; what is fitted to the chosen weights is fitted now."""
    task = prepared.task.finished(model, prepared.validation, device)
    _write(name, config, task, model, task.describe(), prepared.facts, result, folder)


def _write(
    name: str,
    config: RunConfig,
    task: StoredTask,
    model: nn.Module,
    describe: Mapping[str, str],
    data: Mapping[str, Any],
    result: FitResult,
    folder: Path,
) -> None:
    model.to("cpu")
    step = result.weights_step
    facts = {
        "recipe": name,
        "seed": config.seed,
        "data": dict(data),
        "training": {
            "steps": result.steps,
            "epochs": round(result.epochs, 3),
            "seconds": round(result.seconds, 1),
            "stop_reason": result.stop_reason,
            "processes": result.processes,
        },
        "weights": {"kind": result.weights, "step": step, "validation": dict(result.final_metrics)},
    }
    init = read_init_record(folder)
    if init is not None:
        facts["init"] = init
    write_json(folder / METRICS_FILE, {"validation": dict(result.final_metrics), "step": step})
    write_atomically(folder / "README.md", model_card(name, config, describe, model, facts))
    write_run(folder, task, model, facts)
    if result.stop_reason != "interrupted":
        (folder / INIT_WEIGHTS_FILE).unlink(missing_ok=True)
