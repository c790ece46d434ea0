"""Which folder a training may write to, and whether what is there can be gone on with."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seqlens.config import load_config, read_json, to_plain, write_json
from seqlens.config.files import is_temporary
from seqlens.config.locking import LOCK_FILE
from seqlens.errors import RequestError, WorkError
from seqlens.inference.run_folder import CODEC_FOLDER, RUN_FILE
from seqlens.training.checkpoint import has_checkpoint
from seqlens.training.run_config import RunConfig
from seqlens.workflows.initial import INIT_FILE, INIT_WEIGHTS_FILE, first_difference
from seqlens.workflows.preparation import Announce

RECIPE_FILE = "recipe.yaml"
DATA_FILE = "data.json"
# What a training that was killed early leaves; without the recipe it is written anew.
_BEFORE_THE_RECIPE = {CODEC_FOLDER, INIT_FILE, INIT_WEIGHTS_FILE, DATA_FILE, LOCK_FILE}


def claim_folder(folder: Path, config: RunConfig, *, resume: bool, announce: Announce) -> RunConfig:
    """Refuses a folder that holds something else; writes nothing.

    Returns the settings to train with: to go on with a training that began with the codec of another run, that codec.

    Raises:
        RequestError: the folder is taken, or its training is not one of these settings.
    """
    stored = folder / RECIPE_FILE
    if resume and stored.is_file():
        earlier = load_config(RunConfig, stored)
        if (folder / INIT_FILE).is_file():
            config = replace(config, task=replace(config.transduce, codec=earlier.transduce.codec))
        _check_same_training(folder, earlier, config)
        if not has_checkpoint(folder):
            if (folder / RUN_FILE).is_file():
                raise RequestError(
                    f"{folder} holds a finished run without checkpoints, so there is nothing to go on from. "
                    f"Give another --out; `--init {folder}` starts from its weights."
                )
            announce(f"There is no checkpoint in {folder} yet; the training starts from the beginning.")
        return config
    if folder.is_dir() and any(
        path.name not in _BEFORE_THE_RECIPE and not is_temporary(path.name) for path in folder.iterdir()
    ):
        what = (
            "a finished run" if (folder / RUN_FILE).is_file() else "a training" if stored.is_file() else "other files"
        )
        hint = "" if what == "other files" else ", or --resume to go on with the training"
        raise RequestError(f"{folder} holds {what} already. Give another --out{hint}.")
    if resume:
        announce(f"There is no training in {folder} to resume; it starts from the beginning.")
    return config


def write_data_record(folder: Path, fingerprints: Mapping[str, str]) -> None:
    """Notes which data a training is of, so that it cannot go on with others."""
    write_json(folder / DATA_FILE, {"fingerprints": dict(fingerprints)})


def check_same_data(folder: Path, fingerprints: Mapping[str, str]) -> None:
    """Refuses to resume with data that have changed since the training began; one of an earlier version is not asked.

    Raises:
        RequestError: a split is not what it was. WorkError: the record is damaged.
    """
    if not (folder / DATA_FILE).is_file():
        return
    record = read_json(folder / DATA_FILE)
    if not isinstance(record, dict):
        raise WorkError(f"{folder / DATA_FILE} is damaged: it is not the record of a training's data.")
    earlier = record.get("fingerprints", {})
    for split, found in fingerprints.items():
        if earlier.get(split, found) != found:
            raise RequestError(
                f"The data of the split '{split}' have changed since the training in {folder} began (fingerprint "
                f"{found[:12]}, expected {earlier[split][:12]}), so it cannot be gone on with. Put them back, or "
                "begin another training with another --out."
            )


def _check_same_training(folder: Path, earlier: RunConfig, config: RunConfig) -> None:
    """Refuses to resume with a recipe that is not the folder's own in all that a checkpoint depends on."""
    for part in ("data", "train_fraction", "task", "batches", "seed"):
        if getattr(earlier, part) != getattr(config, part):
            path = first_difference(part, to_plain(earlier)[part], to_plain(config)[part])
            raise RequestError(
                f"{folder} was trained with another '{path}', so it cannot be resumed with this recipe; "
                "only settings under 'training' may change. Without a recipe the folder's own is used."
            )
