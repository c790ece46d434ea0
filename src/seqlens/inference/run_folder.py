"""A run folder on disk: what it holds, written whole, read with every file checked."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from seqlens._version import __version__
from seqlens.config import dump_config, load_config, read_json, sha256_of, write_atomically, write_json
from seqlens.config.files import flush_folder, is_temporary
from seqlens.errors import RequestError, WorkError, did_you_mean
from seqlens.models.transducer import Transducer
from seqlens.models.weights import load_weights, pack_weights
from seqlens.tasks.build import Task, TaskConfig, load_example_task, load_task
from seqlens.tasks.example_task import ExampleTask
from seqlens.tasks.transduce.config import TransduceConfig

FORMAT = 1
"""Raised when an older seqlens could not read what a newer one writes."""

RUN_FILE = "run.json"
TASK_FILE = "task.yaml"
WEIGHTS_FILE = "model.safetensors"
CODEC_FOLDER = "codec"


def run_files(folder: Path) -> list[Path]:
    """The files that a training writes and that are there: what a run is loaded, resumed or understood from."""
    names = (RUN_FILE, TASK_FILE, WEIGHTS_FILE, "recipe.yaml", "README.md", "data.json", "metrics.json")
    others = ("log.jsonl", "times.jsonl", "init.json", "init.safetensors")
    files = [folder / name for name in (*names, *others)]
    within = [path for name in (CODEC_FOLDER, "checkpoints") for path in (folder / name).rglob("*")]
    return [path for path in (*files, *within) if path.is_file()]


class StoredTask(Protocol):
    """What a run folder keeps of a task."""

    @property
    def config(self) -> Any: ...

    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class LoadedExampleRun:
    """A trained run of a task that learns from examples; as `LoadedRun`."""

    path: Path
    record: Mapping[str, Any]
    task: ExampleTask[Any, Any]
    model: nn.Module


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A trained run of `transduce`: its folder, the record of `run.json`, the fitted task, the model in eval mode."""

    path: Path
    record: Mapping[str, Any]
    task: Task
    model: Transducer


def write_run(folder: Path, task: StoredTask, model: nn.Module, facts: Mapping[str, Any]) -> None:
    """Writes what `read_run` needs; `run.json` comes last, so a folder that has one is whole."""
    import safetensors.torch

    packed = pack_weights(model)
    if (folder / RUN_FILE).is_file():  # of an interrupted training: it must not speak of files that are half new
        (folder / RUN_FILE).unlink()
        flush_folder(folder)
    write_atomically(folder / TASK_FILE, dump_config(task.config))
    task.save(folder / CODEC_FOLDER)
    write_atomically(folder / WEIGHTS_FILE, safetensors.torch.save(packed.tensors))
    names = [TASK_FILE, WEIGHTS_FILE, *_codec_files(folder)]
    record = {
        "format": FORMAT,
        "kind": task.config.kind,
        "seqlens": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "tied": packed.aliases,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "files": {name: sha256_of(folder / name) for name in names},
        **facts,
    }
    write_json(folder / RUN_FILE, record)


def read_any_run(folder: Path) -> LoadedRun | LoadedExampleRun:
    """Loads a run of any task. No code from it is run: JSON, YAML and safetensors only.

    Raises:
        RequestError: there is no such folder, or it is not a finished run.
        WorkError: a file is missing, damaged, or does not fit the others.
    """
    record = read_record(folder)
    _check_files(folder, record)
    config: TaskConfig = load_config(TaskConfig, folder / TASK_FILE)
    if isinstance(config, TransduceConfig):
        task = load_task(config, folder / CODEC_FOLDER)
        transducer = task.build_model()
        _load_weights(folder, record, transducer)
        return LoadedRun(folder, record, task, transducer.eval())
    other = load_example_task(config, folder / CODEC_FOLDER)
    model = other.build_model()
    _load_weights(folder, record, model)
    return LoadedExampleRun(folder, record, other, model.eval())


def read_run(folder: Path) -> LoadedRun:
    """Loads a run of the task `transduce`.

    Raises:
        RequestError: as `read_any_run`, or the run is of another task. WorkError: as `read_any_run`.
    """
    run = read_any_run(folder)
    if isinstance(run, LoadedExampleRun):
        raise RequestError(
            f"{folder} is a run of the task '{run.record['kind']}', expected one of 'transduce': this is for models "
            "that write texts for texts."
        )
    return run


def read_record(folder: Path) -> dict[str, Any]:
    """Reads `run.json` alone."""
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.glob("*") if _holds_training(path)]
        there = f" {folder.parent} has {', '.join(sorted(siblings)[:12])}." if siblings else ""
        raise RequestError(f"There is no run folder {folder}.{there}{did_you_mean(folder.name, siblings)}")
    if not (folder / RUN_FILE).is_file():
        if _holds_training(folder):
            raise RequestError(
                f"{folder} is a training that has not ended: it has checkpoints but no {RUN_FILE}; "
                f"'seqlens train --resume --out {folder}' goes on with it."
            )
        raise RequestError(f"{folder} is not a run folder: it has no {RUN_FILE}.")
    record = read_json(folder / RUN_FILE)
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
        raise WorkError(f"{folder / RUN_FILE} is damaged: expected a mapping with 'format' and 'files'.")
    if record.get("format") != FORMAT:
        raise WorkError(
            f"{folder / RUN_FILE} has format {record.get('format')!r}, but seqlens {__version__} reads format {FORMAT}."
        )
    return record


def _holds_training(folder: Path) -> bool:
    """Whether a folder is a run or becomes one."""
    return (folder / RUN_FILE).is_file() or (folder / "checkpoints").is_dir()


def describe_machine() -> dict[str, Any]:
    """The facts of this machine that a time or a number may depend on."""
    import os

    import torch

    return {
        "processor": _processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _codec_files(folder: Path) -> list[str]:
    paths = sorted(
        path for path in (folder / CODEC_FOLDER).rglob("*") if path.is_file() and not is_temporary(path.name)
    )
    return [path.relative_to(folder).as_posix() for path in paths]


def _check_files(folder: Path, record: Mapping[str, Any]) -> None:
    for name, expected in record["files"].items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise WorkError(f"{folder / RUN_FILE} names the file {name}, which lies outside the run folder.")
        if not path.is_file():
            raise WorkError(f"{path} is missing from the run folder.")
        if sha256_of(path) != expected:
            raise WorkError(f"{path} is damaged or was changed: its sha256 is not the one in {RUN_FILE}.")


def _load_weights(folder: Path, record: Mapping[str, Any], model: nn.Module) -> None:
    import safetensors
    import safetensors.torch

    path = folder / WEIGHTS_FILE
    try:
        tensors = safetensors.torch.load_file(path)
        load_weights(model, tensors, record.get("tied", {}))
    except safetensors.SafetensorError as error:
        raise WorkError(f"{path} is damaged: {error}.") from error
    except (KeyError, ValueError) as error:
        raise WorkError(f"{path} does not fit {TASK_FILE} and the vocabulary of this run: {error}.") from error
