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
"""
_VIEWS = ("attention", "gates", "gradients")


@guarded
def inspect(
    run: RunArgument,
    view: Annotated[str, typer.Argument(metavar="VIEW", help="attention, gates or gradients.", show_default=False)],
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
    """Look inside a run: what it attends to, what its gates do, how far its gradient reaches.

    Prints a view for the terminal; --output also writes a report that opens in a browser without a network.
    """
    from seqlens.cli.views import show_view
    from seqlens.inference import load_transducer
    from seqlens.report import write_report

    if view not in _VIEWS:
        raise RequestError(
            f"There is no view '{view}', expected one of {', '.join(_VIEWS)}.{did_you_mean(view, _VIEWS)}"
        )
    text = None if input is None else read_argument(input, "The text of --input")
    report = show_view(load_transducer(run, device=device), view, text)
    if output is not None:
        write_report(report, output)
        note(f"The report is in {output}.")
