"""Tags that were forgotten: a source without one is nothing that a model of several directions was trained on."""

from seqlens.cli.printing import warn
from seqlens.config import load_config
from seqlens.data.codecs.marks import chosen_tags
from seqlens.data.mixture import MixtureData
from seqlens.inference import Predictor
from seqlens.training.run_config import RunConfig
from seqlens.workflows.train import RECIPE_FILE


def needed_tags(predictor: Predictor) -> list[str]:
    """The run's tags, if all that it was trained on had one, so far as its folder tells."""
    tags = chosen_tags(predictor.task.source_codec.tags)
    recipe = predictor.path / RECIPE_FILE
    if not tags or not recipe.is_file():
        return []
    data = load_config(RunConfig, recipe).data
    return tags if isinstance(data, MixtureData) and all(part.tag is not None for part in data.parts) else []


def warn_of_missing_tag(predictor: Predictor, tag: str | None) -> None:
    """Tells who forgot --tag."""
    if tag is None and (tags := needed_tags(predictor)):
        warn(f"All training data of {predictor.path} had a tag; give one by --tag: {', '.join(tags)}.")
