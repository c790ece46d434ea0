"""Where a training goes on: the newest checkpoint that is whole, for every process that takes part."""

from collections.abc import Callable
from pathlib import Path

from seqlens.errors import RequestError
from seqlens.training.checkpoint import Checkpoint, CheckpointStore
from seqlens.training.group import Group
from seqlens.training.observer import Observer
from seqlens.training.state import TrainingState


def restore(
    state: TrainingState, store: CheckpointStore, folder: Path, *, resume: bool, observer: Observer, group: Group
) -> Checkpoint | None:
    """Goes back to the newest checkpoint, if there is one and it is wanted."""
    checkpoint = _newest(store, folder, resume=resume, warn=observer.on_warning) if group.is_first else None
    step = group.from_first(None if checkpoint is None else checkpoint.step)
    if step is None:
        return None
    if checkpoint is None:
        checkpoint = store.load(step)
    try:
        state.restore(checkpoint)
    except ValueError as error:
        raise RequestError(f"{store.path(checkpoint.step)} does not fit this training: {error}.") from error
    return checkpoint


def _newest(store: CheckpointStore, folder: Path, *, resume: bool, warn: Callable[[str], None]) -> Checkpoint | None:
    folder.mkdir(parents=True, exist_ok=True)
    if resume:
        return store.load_newest(warn)
    if steps := store.steps():
        raise RequestError(
            f"{folder} holds a training at step {steps[-1]} already. Resume it, or choose another folder."
        )
    return None
