"""What to type after a training."""

import shlex

from seqlens.cli.printing import notes, print_next
from seqlens.data.codecs.marks import MarkedText
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
    tag = f"--tag {text.tag} " if isinstance(text, MarkedText) and text.tag is not None else ""
    commands = [f"seqlens evaluate {folder}", f"seqlens predict {folder} {tag}{shlex.quote(text)}"]
    if isinstance(predictor, Predictor) and attends(predictor):
        commands.append(f"seqlens inspect {folder} attention --output attention.html")
    notes().print("What next:")
    print_next(commands)
