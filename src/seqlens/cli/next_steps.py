"""What to type after a training."""

import shlex

from seqlens.cli.printing import notes, print_next
from seqlens.inference import ExamplePredictor, Predictor
from seqlens.workflows.evaluate_examples import sample_input
from seqlens.workflows.inspect import attends, sample_pairs


def tell_what_next(predictor: Predictor | ExamplePredictor) -> None:
    """Prints commands for a run, with an input from its own data."""
    folder = shlex.quote(str(predictor.path))
    if isinstance(predictor, ExamplePredictor):
        text = sample_input(predictor)
    else:
        text = next((pair.source for pair in sample_pairs(predictor, 1)), "a text")
    commands = [f"seqlens evaluate {folder}", f"seqlens predict {folder} {shlex.quote(text)}"]
    if isinstance(predictor, Predictor) and attends(predictor):
        commands.append(f"seqlens inspect {folder} attention --output attention.html")
    notes().print("What next:")
    print_next(commands)
