"""`seqlens recipes`."""

from seqlens.cli.guard import guarded
from seqlens.cli.printing import print_table
from seqlens.report import Table

EXAMPLES = """Examples:

\b
  seqlens recipes
  seqlens recipes | grep attention
"""


@guarded
def recipes() -> None:
    """List what can be trained: name and description of every recipe that comes with seqlens."""
    from seqlens.workflows.recipes import list_recipes, read_description

    found = [*list_recipes(), *list_recipes(smoke=True)]
    rows = [(recipe.name, read_description(recipe)) for recipe in found]
    print_table(Table("", ("recipe", "description"), rows))
