"""`seqlens inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DeviceOption, RunArgument
from seqlens.cli.printing import note, print_lines, warn
from seqlens.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from seqlens.inference import Predictor
    from seqlens.report import Report

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
    from seqlens.inference import load
    from seqlens.report import write_report

    if view not in _VIEWS:
        raise RequestError(
            f"There is no view '{view}', expected one of {', '.join(_VIEWS)}.{did_you_mean(view, _VIEWS)}"
        )
    report = _show(load(run, device=device), view, input)
    if output is not None:
        write_report(report, output)
        note(f"The report is in {output}.")


def _show(predictor: "Predictor", view: str, text: str | None) -> "Report":
    from seqlens.cli import views
    from seqlens.workflows.inspect import inspect_attention, inspect_gates, inspect_gradients

    match view:
        case "attention":
            attention = inspect_attention(predictor, text)
            print_lines(views.attention_lines(attention))
            return attention.report
        case "gates":
            gates = inspect_gates(predictor, text)
            print_lines(views.gates_lines(gates))
            return gates.report
        case _:
            gradients = inspect_gradients(predictor, text)
            print_lines(views.gradients_lines(gradients))
            if gradients.warning:
                warn(gradients.warning)
            return gradients.report
