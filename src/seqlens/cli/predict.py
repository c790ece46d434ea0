"""`seqlens predict`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DecodingOption, DeviceOption, RunArgument, read_argument
from seqlens.cli.printing import note, warn
from seqlens.errors import RequestError

EXAMPLES = """Examples:

\b
  seqlens predict runs/de-en "Zwei Hunde spielen im Schnee."
  seqlens predict runs/de-en --input news.de --output news.en
  cat news.de | seqlens predict runs/de-en - | head
  seqlens predict runs/de-en --json --set beam_width=10 --set num_best=3 "Ein Satz."
"""


@guarded
def predict(
    run: RunArgument,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="[TEXT]...", help="Texts to answer, or - for the lines of stdin.", show_default=False),
    ] = [],  # noqa: B006 - typer copies it
    input: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Answer the lines of a file (- is stdin).", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write the answers to a file.", show_default=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with scores and alignment.", show_default=False)
    ] = False,
    settings: DecodingOption = [],  # noqa: B006 - typer copies it
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Inputs at a time.")] = 64,
    device: DeviceOption = "auto",
) -> None:
    """Answer inputs: one line for each, in their order; an empty line gets an empty answer.

    With neither texts nor a file, lines are read from stdin; on a terminal they are typed in and answered one by one.
    """
    from seqlens.cli.decoding import decoding_changes
    from seqlens.cli.lines import answer_line, output_to
    from seqlens.cli.progress import counting
    from seqlens.inference import load

    chunks = _chunks(texts, input)
    predictor = load(run, device=device)
    decoding = decoding_changes(predictor, settings)
    if not texts and input is None and sys.stdin.isatty():
        note(f"Type an input and press Enter; Ctrl-D ends. ({run} is loaded.)")
    done, truncated = 0, 0
    with output_to(output) as file, counting("written", hidden=output is None and sys.stdout.isatty()) as progress:
        for chunk in chunks:
            answers = predictor.predict(chunk, batch_size=batch_size, **decoding)
            file.writelines(
                answer_line(text, answer, as_json=as_json) for text, answer in zip(chunk, answers, strict=True)
            )
            file.flush()
            done += len(chunk)
            truncated += sum(answer.truncated for answer in answers)
            progress(done, None)
    if truncated:
        verb = "was" if truncated == 1 else "were"
        warn(f"{truncated:,} of {done:,} inputs {verb} longer than the model's positions reach, and cut there.")


def _chunks(texts: list[str], path: Path | None) -> Iterable[list[str]]:
    from seqlens.cli.lines import file_chunks, stdin_chunks, typed_chunks

    if texts and path is not None:
        raise RequestError(f"Inputs are given twice, as texts and as the file {path}, expected one of them.")
    if (texts == ["-"]) or (path is not None and str(path) == "-"):
        return stdin_chunks()
    if path is not None:
        if not path.exists():  # a named pipe will do
            raise RequestError(f"There is no input file {path}.")
        return file_chunks(path)
    if texts:
        return [[read_argument(text, f"Text {number}") for number, text in enumerate(texts, start=1)]]
    return typed_chunks() if sys.stdin.isatty() else stdin_chunks()
