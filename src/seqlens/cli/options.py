"""Arguments and options that several commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

from seqlens.errors import RequestError

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="The run folder, as `train` made it.", show_default=False)
]

SettingsOption = Annotated[
    list[str],
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; may be given again.", show_default=False),
]

DecodingOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a setting of the search (beam_width=1, method=greedy, ...); may be given again.",
        show_default=False,
    ),
]

WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", min=1, metavar="N", help="Processes that answer batches side by side, a thread each (CPU only)."
    ),
]

WithOption = Annotated[
    list[Path],
    typer.Option(
        "--with",
        metavar="RUN",
        help="Another run that answers together with it, by the mean of their probabilities; may be given again.",
        show_default=False,
    ),
]

RerankByOption = Annotated[
    Path | None,
    typer.Option(
        "--rerank-by",
        metavar="RUN",
        help="A run of the other direction: answers are chosen by how well it gets back to the input, too.",
        show_default=False,
    ),
]

RerankWeightOption = Annotated[
    float | None,
    typer.Option(
        "--rerank-weight", metavar="X", help="What that counts beside the score; 1 by default.", show_default=False
    ),
]

RerankTagOption = Annotated[
    str | None,
    typer.Option(
        "--rerank-tag",
        metavar="TAG",
        help="What the other run reads before answers: the direction back, of its tags.",
        show_default=False,
    ),
]

DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="auto (a GPU where there is one), cpu, cuda, cuda:1, ...")
]


def read_argument(text: str, name: str) -> str:
    """A text of the command line as it was typed: UTF-8, whatever the locale says.

    Raises:
        RequestError: its bytes are not UTF-8; the sentence calls it `name`.
    """
    try:
        # Bytes that the locale does not know come as lone surrogates, which fsencode makes bytes again.
        return os.fsencode(text).decode("utf-8") if any("\udc80" <= sign <= "\udcff" for sign in text) else text
    except UnicodeDecodeError as error:
        raise RequestError(f"{name} on the command line is not UTF-8.") from error
