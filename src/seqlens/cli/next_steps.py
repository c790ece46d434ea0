"""What to type after a training."""

import shlex

from seqlens.cli.printing import notes, print_next
from seqlens.config import load_config
from seqlens.data.codecs.marks import MarkedText
from seqlens.inference import ExamplePredictor, Predictor
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import RECIPE_FILE
from seqlens.workflows.evaluate_examples import sample_input
from seqlens.workflows.inspect import attends, sample_pairs
from seqlens.workflows.open_data import open_recipe_data


def tell_what_next(predictor: Predictor | ExamplePredictor) -> None:
    """Prints commands for a run, with an input from its own data."""
    folder = shlex.quote(str(predictor.path))
    if isinstance(predictor, ExamplePredictor):
        text = sample_input(predictor)
    else:
        text = next((pair.source for pair in sample_pairs(predictor, 1)), "a text")
    tag = f"--tag {text.tag} " if isinstance(text, MarkedText) and text.tag is not None else ""
    end_of_options = "-- " if text.startswith("-") else ""
    splits = open_recipe_data(load_config(RunConfig, predictor.path / RECIPE_FILE), base=predictor.path).splits
    commands = [
        f"seqlens evaluate {folder}" + ("" if "test" in splits else " --split validation"),
        f"seqlens predict {folder} {tag}{end_of_options}{shlex.quote(text)}",
    ]
    if isinstance(predictor, Predictor) and attends(predictor):
        commands.append(f"seqlens inspect {folder} attention --output attention.html")
    notes().print("What next:")
    print_next(commands)
