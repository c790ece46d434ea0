"""The recipe that a run folder carries, which says how its data are read."""

from pathlib import Path

from seqlens.config import load_config
from seqlens.errors import RequestError
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import RECIPE_FILE


def read_run_recipe(folder: Path) -> RunConfig:
    """Reads it.

    Raises:
        RequestError: it is not there, as in a folder that holds what `predict` needs and no more.
    """
    path = folder / RECIPE_FILE
    if not path.is_file():
        raise RequestError(
            f"{folder} has no {RECIPE_FILE}, which says how its data are read, expected the one of the folder that the "
            "run was trained in: copy it there."
        )
    return load_config(RunConfig, path)
