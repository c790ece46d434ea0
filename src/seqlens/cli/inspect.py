"""`seqlens inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DeviceOption, RunArgument, read_argument
from seqlens.cli.printing import note
from seqlens.errors import RequestError, did_you_mean

EXAMPLES = """Examples:

\b
  seqlens inspect runs/de-en attention --input "Zwei Hunde spielen im Schnee."
  seqlens inspect runs/de-en gates --output gates.html
  seqlens inspect runs/de-en gradients
  seqlens inspect runs/moods words --input "There is nothing to like in this movie."
"""
_VIEWS = ("attention", "gates", "gradients")
_EXAMPLE_VIEWS = ("words",)


@guarded
def inspect(
    run: RunArgument,
    view: Annotated[
        str,
        typer.Argument(
            metavar="VIEW", help="attention, gates, gradients, or words of a classifier.", show_default=False
        ),
    ],
    input: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="TEXT", help="What the model reads; by default from its test split.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write a report, one HTML file.", show_default=False),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Look inside a run: what it attends to, what its gates do, how far its gradient reaches, what each word counts.

    Prints a view for the terminal; --output also writes a report that opens in a browser without a network.
    """
    from seqlens.cli.views import show_view
    from seqlens.cli.word_view import show_words
    from seqlens.inference import ExamplePredictor, load, load_transducer
    from seqlens.report import write_report

    views = (*_VIEWS, *_EXAMPLE_VIEWS)
    if view not in views:
        raise RequestError(f"There is no view '{view}', expected one of {', '.join(views)}.{did_you_mean(view, views)}")
    text = None if input is None else read_argument(input, "The text of --input")
    if view in _EXAMPLE_VIEWS:
        predictor = load(run, device=device)
        if not isinstance(predictor, ExamplePredictor):
            raise RequestError(f"The view '{view}' is for runs of the task 'classify', but {run} is of 'transduce'.")
        report = show_words(predictor, text)
    else:
        report = show_view(load_transducer(run, device=device), view, text)
    if output is not None:
        write_report(report, output)
        note(f"The report is in {output}.")
