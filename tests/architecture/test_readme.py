"""What the README and the how-to pages show runs as it stands there."""

import re
from pathlib import Path

import pytest

from seqlens.workflows.recipes import list_recipes

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "src").rglob("README.md"))]


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_layers_of_the_readme_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = code_blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {}
    for package in ("seqlens.layers", "seqlens.testing"):
        exec(next(block for block in blocks if package in block), names)
    assert "executor" in capsys.readouterr().out
    assert tuple(names["out"].outputs.shape) == (3, 10, 256)  # type: ignore[attr-defined]
    assert tuple(names["attended"].context.shape) == (3, 1, 256)  # type: ignore[attr-defined]


def test_the_score_of_ones_own_runs() -> None:
    (block,) = code_blocks(ROOT / "docs" / "add-an-attention-score.md", "python")
    names: dict[str, object] = {}
    exec(block, names)
    assert "attention" in names


def test_the_cell_of_ones_own_runs() -> None:
    names: dict[str, object] = {}
    for block in code_blocks(ROOT / "docs" / "add-a-cell.md", "python"):
        exec(block, names)
    assert "generic executor runs" in names["layer"].explain()  # type: ignore[attr-defined]


def test_the_assertions_of_the_testing_page_run() -> None:
    blocks = code_blocks(ROOT / "docs" / "testing.md", "python")
    names: dict[str, object] = {}
    exec(blocks[0].rsplit("\n", 2)[0], names)
    with pytest.raises(AssertionError, match=r"the output of sequence 0 \(7 of 7 steps; padding: nan\) is off by inf"):
        exec(blocks[0], names)
    for block in blocks[1:]:
        exec(block, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_recipe_that_a_page_names_exists() -> None:
    names = {recipe.name for recipe in [*list_recipes(), *list_recipes(smoke=True)]}
    for page in PAGES:
        folders = "translation|dates|sentiment|ner|dna|language"
        for found in re.findall(rf"(?<![\w/.-])(?:{folders})/[a-z0-9-]+", page.read_text(encoding="utf-8")):
            if not (ROOT / "src" / "seqlens" / "recipes" / found).is_dir():
                assert found in names, f"{page.name} names {found}"
