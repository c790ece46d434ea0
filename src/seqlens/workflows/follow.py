"""The part of a process that trains along with a first one, which prepares, validates and writes."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from seqlens.config import load_config
from seqlens.inference.run_folder import CODEC_FOLDER
from seqlens.training.group import LostProcessError, Place, joined_group, take_device, told_place
from seqlens.training.observer import FitResult
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import RECIPE_FILE
from seqlens.workflows.example_preparation import prepare_examples
from seqlens.workflows.fitting import fit_examples, fresh_model, run_fit
from seqlens.workflows.preparation import prepare

LOST = 75
"""How a started process ends that missed another one."""


def follow(folder: Path, place: Place, device: torch.device, store: Any = None) -> FitResult:
    """Trains along in `folder` as soon as the first process has written recipe and codec there."""
    with joined_group(place, device, store) as group:
        device = torch.device(group.device)
        config, codec_folder = load_config(RunConfig, folder / RECIPE_FILE), folder / CODEC_FOLDER
        if config.learns_from_pairs:
            pairs = prepare(config, codec_folder=codec_folder, announce=_say_nothing)
            model = fresh_model(pairs.task, config.seed)
            result = run_fit(model, pairs, config, folder, device=device, group=group)
        else:
            examples = prepare_examples(config, codec_folder=codec_folder, announce=_say_nothing)
            module = fresh_model(examples.task, config.seed)
            result = fit_examples(module, examples, config, folder, device=device, group=group)
        group.wait()
    return result


def serve() -> None:
    """What a process does that another one started on the same machine: `serve()` with a folder and a device."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, not listed

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first
    folder, device = sys.argv[1:]
    place = told_place()
    # Who has failed at this is told of before the first waits for it.
    own_device = take_device(place, torch.device(device))
    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), place.size, is_master=False)
    store.set(here(place.rank), "")
    try:
        follow(Path(folder), place, own_device, store)
    except LostProcessError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(LOST)


def here(rank: int) -> str:
    """The key by which a started process tells that it is there."""
    return f"here/{rank}"


def _say_nothing(text: str) -> None:
    """The first process tells what there is to be told."""
