"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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

DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="auto (a GPU where there is one), cpu, cuda, cuda:1, ...")
]
