"""`seqlens settings`."""

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.printing import print_lines

if TYPE_CHECKING:
    from seqlens.config.describe import Block

EXAMPLES = """Examples:

\b
  seqlens settings training
  seqlens settings training.schedule
  seqlens settings data.path
  seqlens settings task.model | less
"""
_WIDTH = 100
_PAGE_HEAD = """\
# Settings

Made by `make docs` from the code, as `seqlens settings PATH` prints it; do not edit. Everything below may stand in a
recipe, or be given as `--set PATH=VALUE`; a mapping is given whole as `--set 'data={kind: pairs, path: my-corpus}'`.
Where a block may be of several kinds, `kind` says which.
"""


@guarded
def settings(
    path: Annotated[
        str,
        typer.Argument(
            metavar="[PATH]", help="A block or a setting, as --set names it; all, without one.", show_default=False
        ),
    ] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a page in Markdown.", show_default=False)] = False,
) -> None:
    """Say what can be set in a recipe: values, defaults, meaning."""
    from seqlens.config.describe import describe, find_blocks
    from seqlens.training.run_config import RunConfig

    blocks = describe(RunConfig)
    found = find_blocks(blocks, path) if path else blocks
    print_lines(_page(found) if markdown else [line for block in found for line in _lines(block)])


def _lines(block: "Block") -> Iterator[str]:
    yield block.title + (f" (also {', '.join(block.also)})" if block.also else "")
    for paragraph in filter(None, block.meaning.split("\n\n")):
        yield from textwrap.wrap(paragraph, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    for one in block.settings:
        yield (
            f"    {one.name}: {one.value}; default {one.default}"
            if one.default != "must be given"
            else (f"    {one.name}: {one.value}; must be given")
        )
        yield from textwrap.wrap(one.meaning, _WIDTH, initial_indent="        ", subsequent_indent="        ")
    yield ""


def _page(blocks: "list[Block]") -> Iterator[str]:
    yield from _PAGE_HEAD.splitlines()
    for block in blocks:
        yield from ("", f"## {block.title}", "")
        if block.also:
            yield from (f"Also at {', '.join(f'`{place}`' for place in block.also)}.", "")
        yield from ([block.meaning, ""] if block.meaning else [])
        yield from ("| setting | value | default | |", "|---|---|---|---|") if block.settings else ()
        for one in block.settings:
            cells = (f"`{one.name}`", one.value, one.default, one.meaning.replace("\n\n", " "))
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
