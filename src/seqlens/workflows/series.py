"""Several trainings of one recipe in a folder: those that have ended are taken as they are, others go on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from seqlens.config import load_config, to_plain
from seqlens.data.splitting import TRAIN, VALIDATION
from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor, Predictor, load, read_record
from seqlens.inference.run_folder import RUN_FILE
from seqlens.training.observer import Observer
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import RECIPE_FILE, check_same_data
from seqlens.workflows.initial import first_difference
from seqlens.workflows.open_data import open_recipe_data
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipe_config import Changes, resolve_recipe
from seqlens.workflows.train import train

Observe = Callable[[str], Observer | None]


@final
@dataclass(frozen=True, slots=True)
class Series:
    """A recipe with changes that all its trainings share, and who is told of them."""

    recipe: str | Path
    overrides: Changes
    device: str
    announce: Announce
    observe: Observe

    def config(self) -> RunConfig:
        """The settings that the trainings share. RequestError where they are not as they must be."""
        return resolve_recipe(self.recipe, self.overrides)[1]

    def run(self, folder: Path, overrides: Changes, label: str) -> Predictor | ExamplePredictor:
        """The run in `folder`, trained with these settings now, or earlier.

        Raises:
            RequestError: the folder holds a run with other settings or of other data, or something else.
            KeyboardInterrupt: the training was interrupted; called again, it goes on.
        """
        there = (folder / RECIPE_FILE).is_file()
        config = resolve_recipe(self.recipe, overrides)[1]
        if there:
            check_settings(folder, config)
        if has_ended(folder):
            check_data_now(folder, config)
            self.announce(f"{label}: {folder} is trained already.")
            return load(folder, device=self.device)
        self.announce(f"{label}: {'going on' if there else 'training'} in {folder}.")
        trained = train(
            self.recipe,
            out=folder,
            overrides=overrides,
            resume=folder.is_dir(),
            observer=self.observe(label),
            announce=self.announce,
            device=self.device,
        )
        return trained.predictor


def has_ended(folder: Path) -> bool:
    """Whether a folder holds a run whose training was not interrupted."""
    return (folder / RUN_FILE).is_file() and read_record(folder)["training"]["stop_reason"] != "interrupted"


def check_data_now(folder: Path, config: RunConfig) -> None:
    """Refuses a run whose data have changed since it was trained.

    Raises:
        RequestError: they have, or cannot be opened.
    """
    corpus = open_recipe_data(config, base=Path())
    check_same_data(folder, {split: corpus.fingerprint(split) for split in (TRAIN, VALIDATION)})


def check_settings(folder: Path, config: RunConfig) -> None:
    """Refuses a run that was trained with other settings.

    Raises:
        RequestError: it was; the sentence names the first that differs.
    """
    earlier, wanted = (to_plain(one) for one in (load_config(RunConfig, folder / RECIPE_FILE), config))
    for part in earlier:
        if part != "description" and earlier[part] != wanted[part]:
            path = first_difference(part, earlier[part], wanted[part])
            raise RequestError(f"{folder} was trained with another '{path}'; give another --out for these settings.")
