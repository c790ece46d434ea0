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
            metavar="VIEW",
            help="attention, gates or gradients of a translator; words of a classifier.",
            show_default=False,
        ),
    ],
    input: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="TEXT", help="What the model reads; by default of its data.", show_default=False
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            "--tag",
            metavar="TAG",
            help="With --input: the direction or domain, of the run's tags.",
            show_default=False,
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
    from seqlens.cli.tags import warn_of_missing_tag
    from seqlens.cli.views import show_view
    from seqlens.cli.word_view import show_words
    from seqlens.data.codecs.marks import with_tag
    from seqlens.inference import ExamplePredictor, load, load_transducer
    from seqlens.report import write_report

    views = (*_VIEWS, *_EXAMPLE_VIEWS)
    if view not in views:
        raise RequestError(f"There is no view '{view}', expected one of {', '.join(views)}.{did_you_mean(view, views)}")
    text = None if input is None else read_argument(input, "The text of --input")
    if text is None and tag is not None:
        raise RequestError(f"--tag is '{tag}', but it is for --input; the run's own inputs have their tags.")
    if view in _EXAMPLE_VIEWS:
        if tag is not None:
            raise RequestError(f"--tag is for runs of the task 'transduce', but the view '{view}' is of classifiers.")
        predictor = load(run, device=device)
        if not isinstance(predictor, ExamplePredictor):
            raise RequestError(f"The view '{view}' is for runs of the task 'classify', but {run} is of 'transduce'.")
        report = show_words(predictor, text)
    else:
        translator = load_transducer(run, device=device)
        if text is not None:
            warn_of_missing_tag(translator, tag)
            text = text if tag is None else with_tag([text], tag, translator.task.source_codec.tags)[0]
        report = show_view(translator, view, text)
    if output is not None:
        write_report(report, output)
        note(f"The report is in {output}.")
