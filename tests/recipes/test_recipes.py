"""Every recipe loads, builds its model, and is documented; smoke recipes train."""

from pathlib import Path

import pytest

import seqlens
from seqlens.config import load_config
from seqlens.models.transducer import build_transducer
from seqlens.training.run_config import RunConfig
from seqlens.workflows.recipes import Recipe, list_recipes

RECIPES = [*list_recipes(), *list_recipes(smoke=True)]
SMOKE = list_recipes(smoke=True)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_loads_and_its_model_can_be_built(recipe: Recipe) -> None:
    config = load_config(RunConfig, recipe.path)
    assert config.description
    model = build_transducer(config.task.model, source_size=50, target_size=50)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


@pytest.mark.parametrize("folder", sorted({recipe.path.parent for recipe in RECIPES}), ids=lambda folder: folder.name)
def test_every_folder_of_recipes_has_a_readme(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for recipe in (recipe for recipe in list_recipes() if recipe.path.parent == folder):
        assert recipe.name in readme, f"{folder.name}/README.md does not name {recipe.name}"


@pytest.mark.parametrize("recipe", SMOKE, ids=lambda recipe: recipe.name)
def test_a_smoke_recipe_learns_something_and_reloads(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    run = seqlens.train(recipe.name, out=tmp_path / "run")
    losses = [line for line in (run.path / "log.jsonl").read_text(encoding="utf-8").splitlines() if '"loss"' in line]
    assert len(losses) >= 2
    texts = ["25 juin 2009", "", "Thursday, June 25, 2009"]
    answers = run.predictor.predict(texts)
    again = seqlens.load(run.path).predict(texts)
    assert [answer.text for answer in again] == [answer.text for answer in answers]
    assert [answer.log_prob for answer in again] == [answer.log_prob for answer in answers]
    assert answers[1].text == ""
    scores = seqlens.evaluate(run.path, split="validation")
    assert 0 <= scores["exact_match"].value <= 1
    assert scores["perplexity"].value < run.predictor.task.target_codec.size, "no better than guessing"
