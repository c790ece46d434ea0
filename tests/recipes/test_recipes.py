"""Every recipe loads, builds its model, and is documented; smoke recipes train."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import seqlens
from seqlens.config import load_config
from seqlens.data.open_examples import open_examples
from seqlens.inference import ExamplePredictor, Predictor
from seqlens.models.transducer import build_transducer
from seqlens.tasks.build import fit_example_task
from seqlens.tasks.transduce.config import TransduceConfig
from seqlens.tasks.transduce.validation import validated
from seqlens.training.run_config import RunConfig
from seqlens.workflows.recipes import Recipe, list_recipes

RECIPES = [*list_recipes(), *list_recipes(smoke=True)]
SMOKE = list_recipes(smoke=True)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_loads_and_its_model_can_be_built(recipe: Recipe) -> None:
    config = load_config(RunConfig, recipe.path)
    assert config.description
    if isinstance(config.task, TransduceConfig):
        built: nn.Module = build_transducer(config.task.model, source_size=50, target_size=50)
    else:
        built = fit_example_task(config.example_task, lambda: some_examples(config)).build_model()
    assert sum(parameter.numel() for parameter in built.parameters()) > 0


def some_examples(config: RunConfig) -> list[Any]:
    """Training examples from all over the recipe's data, so that all labels are there."""
    if getattr(config.data, "path", None) is not None and "SEQLENS_MIRROR" not in os.environ:
        pytest.skip("SEQLENS_MIRROR names no folder with the data sets")
    examples = list(open_examples(config.example_data, base=Path()).read("train"))
    return examples[:: max(1, len(examples) // 100)]


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
    if isinstance(run.predictor, Predictor):
        check_texts(run.path, run.predictor)
    else:
        check_answers(run.path, run.predictor)


def check_answers(path: Path, trained: ExamplePredictor) -> None:
    """A reloaded run answers as the trained one, alone as together, and is scored beside its baselines."""
    loaded = seqlens.load(path)
    validation = json.loads((path / "metrics.json").read_text(encoding="utf-8"))["validation"]
    assert set(validation) == set(trained.task.validated)
    scores = seqlens.evaluate(path, split="validation")
    inputs = [trained.task.input_of(example) for example in scores.examples[:5]]
    answers = [answer.to_plain() for answer in trained.predict(inputs)]
    assert [answer.to_plain() for answer in loaded.predict(inputs)] == answers
    assert [str(loaded.predict(one)) for one in inputs] == [str(answer) for answer in loaded.predict(inputs)]
    assert scores.baseline_scores
    assert all(score.low <= score.value <= score.high for score in scores.values())
    assert any(scores.folder.iterdir())


def check_texts(path: Path, trained: Predictor) -> None:
    """The same of a run that writes texts."""
    validation = json.loads((path / "metrics.json").read_text(encoding="utf-8"))["validation"]
    assert set(validation) == set(validated(trained.task))
    texts = ["25 juin 2009", "", "Thursday, June 25, 2009"]
    answers = trained.predict(texts)
    again = seqlens.load(path).predict(texts)
    assert [answer.text for answer in again] == [answer.text for answer in answers]
    assert [answer.log_prob for answer in again] == [answer.log_prob for answer in answers]
    assert answers[1].text == ""
    scores = seqlens.evaluate(path, split="validation")
    assert 0 <= scores["exact_match"].value <= 1
    assert scores["perplexity"].value < trained.task.target_codec.size, "no better than guessing"
