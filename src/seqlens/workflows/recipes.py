"""The recipes that come with seqlens, and a user's own."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from seqlens.errors import RequestError, did_you_mean


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe's name (`translation/gru-attention`), or a user's path, and its file."""

    name: str
    path: Path


def recipes_folder() -> Path:
    """Where the recipes of this installation lie."""
    return Path(str(files("seqlens") / "recipes"))


def list_recipes(*, smoke: bool = False) -> list[Recipe]:
    """All recipes of this installation by name; `smoke` lists those made for quick tests instead."""
    folder = recipes_folder()
    found = []
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if path.stem.startswith("smoke") == smoke:
            found.append(Recipe(name, path))
    return found


def find_recipe(name_or_path: str | Path) -> Recipe:
    """Finds a recipe by name or by path.

    Raises:
        RequestError: there is none; the message names the nearest.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return Recipe(path.stem, path)
        raise RequestError(f"There is no recipe file {path}.")
    everything = [*list_recipes(), *list_recipes(smoke=True)]
    for recipe in everything:
        if recipe.name == str(name_or_path):
            return recipe
    names = [recipe.name for recipe in everything]
    hint = did_you_mean(str(name_or_path), names)
    shown = "" if hint else f" 'seqlens recipes' lists them: {', '.join(names[:12])}."
    raise RequestError(f"There is no recipe '{name_or_path}'.{hint}{shown}")


def is_recipe(name_or_path: str | Path) -> bool:
    """Whether that is the name of a recipe or a YAML file."""
    named = any(recipe.name == str(name_or_path) for recipe in [*list_recipes(), *list_recipes(smoke=True)])
    return named or Path(name_or_path).suffix in (".yaml", ".yml")


def read_description(recipe: Recipe) -> str:
    """The recipe's description, read without the rest of the file: a list of recipes must not take seconds.

    It stands on one line at the left margin, in quotes or not; "" where there is none.
    """
    for line in recipe.path.read_text(encoding="utf-8").splitlines():
        name, colon, value = line.partition(":")
        if name == "description" and colon:
            value = value.strip()
            return value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] else value
    return ""
