"""Checkpoints: folders of safetensors and JSON that are whole or absent, whatever interrupts their writing.

A checkpoint is written to a hidden folder, flushed to the disk, and renamed; older ones are renamed to a hidden name
before they are deleted. So each `step-...` folder is whole unless the disk itself damaged it, which the SHA-256 of
every file of tensors, kept in `state.json`, brings to light.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from seqlens.config.files import flush_folder, read_json, write_atomically, write_json
from seqlens.errors import RequestError, WorkError

FORMAT = 1
"""Number of the layout written here; a checkpoint with a larger one is refused."""

CHECKPOINTS_FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{8,})")
_WRITING, _DELETING = ".writing-", ".deleting-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a training needs to go on as if nothing had happened."""

    step: int
    best_step: int | None
    """The step of the best weights so far; its checkpoint is kept as long as this one is."""
    tensors: Mapping[str, Mapping[str, Tensor]]
    """Tensors by file (`model`, `optimizer`, ...) and name; no two may share memory."""
    state: Mapping[str, Any]
    """JSON values that depend on nothing but the run's settings and seed."""
    clock: Mapping[str, float | int] = field(default_factory=dict)
    """JSON values that depend on the time it took; kept apart, so that all other files can be compared."""


@final
class CheckpointStore:
    """The folder of a run's checkpoints: saves, finds the newest whole one, removes those no longer needed."""

    def __init__(self, folder: Path, *, every: int, keep: int) -> None:
        """Keeps the newest `keep` checkpoints of steps that `every` divides, the newest of all, and the best ones."""
        self._folder = folder
        self._every = every
        self._keep = keep

    def path(self, step: int) -> Path:
        """Returns where the checkpoint of `step` is or would be."""
        return self._folder / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Returns the steps with a checkpoint, in order."""
        if not self._folder.is_dir():
            return []
        return sorted(int(match[1]) for entry in self._folder.iterdir() if (match := _NAME.fullmatch(entry.name)))

    def scheduled_steps(self) -> list[int]:
        """Returns the steps with a checkpoint that `every` divides, the start left out."""
        return [step for step in self.steps() if step and step % self._every == 0]

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, and removes those no longer needed.

        If that step has one already, only its state is written anew, where a validation has changed it since.

        Raises:
            WorkError: it could not be written (a full disk, say); the older ones are all as before.
        """
        final_path = self.path(checkpoint.step)
        if final_path.exists():
            self._refresh(checkpoint)
            return
        hidden = self._folder / f"{_WRITING}{final_path.name}"
        try:
            self._remove_hidden()
            hidden.mkdir(parents=True)
            _write_files(hidden, checkpoint)
            os.rename(hidden, final_path)
            flush_folder(self._folder)
        except (OSError, WorkError) as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise WorkError(self._failure_of(checkpoint.step, error)) from error
        self.prune()

    def _refresh(self, checkpoint: Checkpoint) -> None:
        there = self._read_state(checkpoint.step)
        now = {**there, "best_step": checkpoint.best_step, "state": checkpoint.state}
        if json.dumps(now) == json.dumps(there):
            return
        write_json(self.path(checkpoint.step) / "state.json", now)
        self.prune()

    def load(self, step: int) -> Checkpoint:
        """Reads the checkpoint of `step` and checks every file of it.

        Raises:
            WorkError: it is damaged.
            RequestError: a later version of seqlens wrote it.
        """
        folder = self.path(step)
        content = self._read_state(step)
        clock = read_json(folder / "clock.json")
        if not isinstance(clock, dict):
            raise WorkError(f"{folder / 'clock.json'} is damaged: it is not the clock of a checkpoint.")
        tensors = {stem: self.load_tensors(step, stem, content) for stem in content["sha256"]}
        return Checkpoint(step, content["best_step"], tensors, content["state"], clock)

    def load_tensors(self, step: int, stem: str, content: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
        """Reads one file of tensors of a checkpoint, and checks it.

        Raises:
            WorkError: the file is damaged or not there.
        """
        if content is None:
            content = self._read_state(step)
        path = self.path(step) / f"{stem}.safetensors"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise WorkError(f"{path} could not be read: {error.strerror or error}.") from error
        if hashlib.sha256(data).hexdigest() != content["sha256"].get(stem):
            raise WorkError(f"{path} is damaged: its {len(data)} bytes do not have the SHA-256 in state.json.")
        try:
            return safetensors.torch.load(data)
        except SafetensorError as error:
            raise WorkError(f"{path} is damaged: {error}.") from error

    def load_newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """Reads the newest whole checkpoint; None if there never was one. Remains of a killed run are removed.

        Damaged ones are set aside under the name `damaged-step-...`, and `warn` is told in a sentence.

        Raises:
            WorkError: there are checkpoints, but every one of them is damaged.
        """
        self._remove_hidden()
        damaged: dict[int, WorkError] = {}
        for step in reversed(self.steps()):
            try:
                checkpoint = self.load(step)
            except WorkError as error:
                damaged[step] = error
                continue
            for bad_step, damage in damaged.items():
                self._set_aside(bad_step)
                warn(f"The checkpoint of step {bad_step} was set aside, that of step {step} is used. {damage}")
            self.prune()
            return checkpoint
        if damaged:
            raise WorkError(f"No checkpoint in {self._folder} is whole. The newest: {next(iter(damaged.values()))}")
        return None

    def prune(self) -> None:
        """Removes the checkpoints that are no longer needed.

        Raises:
            WorkError: one could not be removed.
        """
        steps = self.steps()
        kept = {*[step for step in steps if step % self._every == 0][-self._keep :], *steps[-1:]}
        kept |= {best for step in kept if (best := self._best_step_of(step)) is not None}
        for step in steps:
            if step not in kept:
                self._remove(step)

    def _remove(self, step: int) -> None:
        hidden = self._folder / f"{_DELETING}{self.path(step).name}"
        try:
            # Renamed first: a kill in the middle of deleting must not leave half a checkpoint under its name.
            os.rename(self.path(step), hidden)
            shutil.rmtree(hidden)
        except OSError as error:
            raise WorkError(f"{self.path(step)} could not be removed: {error.strerror or error}.") from error

    def _best_step_of(self, step: int) -> int | None:
        try:
            best: int | None = self._read_state(step)["best_step"]
        except WorkError:
            return None  # nobody can resume from it, so nobody needs its best weights
        return best

    def _read_state(self, step: int) -> dict[str, Any]:
        path = self.path(step) / "state.json"
        content = read_json(path)
        if not isinstance(content, dict) or not {"format", "sha256", "best_step", "state"} <= content.keys():
            raise WorkError(f"{path} is damaged: it is not the state of a checkpoint.")
        if content["format"] > FORMAT:
            raise RequestError(
                f"{path} has format {content['format']}, expected at most {FORMAT}: install a newer version of seqlens."
            )
        return content

    def _remove_hidden(self) -> None:
        if not self._folder.is_dir():
            return
        for entry in self._folder.iterdir():
            if entry.name.startswith((_WRITING, _DELETING)):
                shutil.rmtree(entry)

    def _set_aside(self, step: int) -> None:
        aside = self._folder / f"damaged-{self.path(step).name}"
        if aside.exists():
            shutil.rmtree(aside)
        os.rename(self.path(step), aside)

    def _failure_of(self, step: int, error: Exception) -> str:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error).rstrip(".")
        steps = self.steps()
        rest = (
            f"that of step {steps[-1]} is whole, and training can be resumed from it" if steps else "there is no other"
        )
        return f"The checkpoint of step {step} could not be written ({reason}); {rest}."


def has_checkpoint(run: Path) -> bool:
    """Whether a training in this folder has come to its first checkpoint."""
    return bool(CheckpointStore(run / CHECKPOINTS_FOLDER, every=1, keep=1).steps())


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    sha256 = {}
    for stem, tensors in checkpoint.tensors.items():
        data = safetensors.torch.save(dict(tensors))
        sha256[stem] = hashlib.sha256(data).hexdigest()
        write_atomically(folder / f"{stem}.safetensors", data)
    write_json(folder / "clock.json", dict(checkpoint.clock))
    content = {
        "format": FORMAT,
        "step": checkpoint.step,
        "best_step": checkpoint.best_step,
        "state": checkpoint.state,
        "sha256": sha256,
    }
    write_json(folder / "state.json", content)
