"""`seqlens recipes`."""

from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.printing import print_lines, print_table
from seqlens.report import Table

EXAMPLES = """Examples:

\b
  seqlens recipes
  seqlens recipes | grep attention
  seqlens recipes translation/transformer > my-recipe.yaml
"""


@guarded
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Print this recipe instead, as a file to start from.", show_default=False),
    ] = None,
) -> None:
    """List what can be trained: name and description of every recipe that comes with seqlens.

    A file made from one is trained by its path: `seqlens train my-recipe.yaml`. Relative paths in it are taken from
    the file's folder, those of --set from where you type.
    """
    from seqlens.workflows.recipes import find_recipe, list_recipes, read_description

    if name is not None:
        print_lines(find_recipe(name).path.read_text(encoding="utf-8").splitlines())
        return
    found = [*list_recipes(), *list_recipes(smoke=True)]
    rows = [(recipe.name, read_description(recipe)) for recipe in found]
    print_table(Table("", ("recipe", "description"), rows))
