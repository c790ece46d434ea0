"""`seqlens backtranslate`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DecodingOption, DeviceOption, RunArgument
from seqlens.cli.printing import note

EXAMPLES = """Examples:

\b
  seqlens backtranslate runs/en-de --input mono.en --output synthetic.tsv
  seqlens backtranslate runs/en-de --input mono.en --output synthetic.tsv --set method=sample --set seed=1
"""


@guarded
def backtranslate(
    run: RunArgument,
    input: Annotated[Path, typer.Option("--input", metavar="FILE", help="Texts of the target language, one a line.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The TSV to write: made sources, real targets.")
    ],
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="TAG", help="Put before each line, of the run's tags.", show_default=False),
    ] = None,
    settings: DecodingOption = [],  # noqa: B006 - typer copies it
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Lines at a time.")] = 64,
    device: DeviceOption = "auto",
) -> None:
    """Make sources for texts that have no source, by a run of the other direction.

    To train a German-to-English model on English text, RUN goes from English to German. The TSV is a part of a mixture
    then (data kind `mixture`, a tag such as <bt>, `train_only: true`). Interrupted, the same command goes on where it
    was. The path of the file is printed on stdout.
    """
    from seqlens.cli.decoding import decoding_changes
    from seqlens.cli.progress import counting
    from seqlens.cli.tags import warn_of_missing_tag
    from seqlens.inference import load_transducer
    from seqlens.workflows.backtranslate import backtranslate as translate_back

    predictor = load_transducer(run, device=device)
    warn_of_missing_tag(predictor, tag)
    with counting("lines answered") as progress:
        made = translate_back(
            predictor,
            input=input,
            output=output,
            tag=tag,
            decoding=decoding_changes(predictor, settings),
            batch_size=batch_size,
            announce=note,
            progress=progress,
        )
    left_out = ""
    if made.num_empty or made.num_unanswered:
        left_out = f" Left out: {made.num_empty:,} empty, {made.num_unanswered:,} with an empty answer."
    note(f"{made.num_pairs:,} pairs of {made.num_lines:,} lines.{left_out}")
    sys.stdout.write(f"{made.path}\n")
