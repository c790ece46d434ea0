"""Demos of tasks that learn from examples, at a few steps a model."""

from dataclasses import replace
from pathlib import Path

import pytest

import seqlens
from seqlens.config import load_config
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.labelled.records import LabelledText
from seqlens.data.tagged.records import Entity, TaggedText
from seqlens.report import Interval
from seqlens.tasks.classify.answer import Classification
from seqlens.tasks.mark.answer import marking_of_genes
from seqlens.tasks.tag.answer import FoundEntity, Tagging
from seqlens.training.run_config import RunConfig
from seqlens.workflows.demos import EXAMPLE_DEMOS, Demo
from seqlens.workflows.example_demo import run_example_demo
from seqlens.workflows.recipes import find_recipe
from seqlens.workflows.shown_answers import show_answer


@pytest.mark.parametrize("demo", EXAMPLE_DEMOS, ids=lambda demo: demo.name)
def test_every_recipe_of_a_demo_is_there_and_learns_from_the_same_generated_data(demo: Demo) -> None:
    configs = [load_config(RunConfig, find_recipe(recipe).path) for recipe in demo.recipes]
    assert all(config.data == configs[0].data for config in configs)
    assert not hasattr(configs[0].data, "path"), "something to download"
    assert all(config.training.max_steps for config in configs)
    assert demo.speaker in demo.recipes


@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_demo_trains_scores_answers_and_reports(
    num_processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    moods = next(demo for demo in EXAMPLE_DEMOS if demo.name == "moods")
    short = replace(moods, recipes=moods.recipes[:2], speaker=moods.recipes[1])
    result = run_example_demo(short, out=tmp_path / "demo", steps=3, num_processes=num_processes)
    names = ["moods-rnn", "moods-lstm"]
    assert [learner.name for learner in result.learners] == names
    assert [row[0] for row in result.table.rows[:2]] == names
    assert all(str(row[0]).startswith("baseline: ") for row in result.table.rows[2:])
    assert len(result.table.rows) >= 4
    assert all(isinstance(row[1], Interval) for row in result.table.rows)
    for learner in result.learners:
        assert learner.curve[-1][0] == 3
        loaded = seqlens.load(tmp_path / "demo" / learner.name, device="cpu")
        assert loaded.record["recipe"] == f"sentiment/{learner.name}"
        shown = learner.answers[0]
        answer = loaded.predict(shown.asked)
        assert shown.answered == f"{answer.label} {answer.probability:.2f}"
        assert shown.good == (answer.label == shown.expected)
    page = result.report.read_text(encoding="utf-8")
    assert result.learners[0].answers[0].asked.split(",")[0] in page
    assert "Learning: accuracy" in page


@pytest.mark.parametrize(
    ("name", "smoke", "said"),
    [
        ("people", "ner/smoke", "f1"),
        ("genes", "dna/smoke", "coding F1"),
        ("names", "language/smoke", "bits per character"),
    ],
)
def test_demos_of_the_other_tasks_run(
    name: str, smoke: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    demo = next(demo for demo in EXAMPLE_DEMOS if demo.name == name)
    result = run_example_demo(replace(demo, recipes=(smoke,), speaker=smoke), out=tmp_path / "demo", steps=2)
    assert said.lower() in [column.lower() for column in result.table.columns]
    assert len(result.table.rows) > 1, "no baseline"
    assert result.answers.rows
    assert result.report.is_file()


def test_answers_of_every_kind_are_shown_beside_what_was_expected() -> None:
    text = LabelledText("so good", "positive")
    shown = show_answer(text, Classification("negative", 0.75, {"negative": 0.75, "positive": 0.25}))
    assert (shown.asked, shown.expected, shown.answered, shown.good) == ("so good", "positive", "negative 0.75", False)
    tagged = TaggedText("Ann met Bo", ((0, 3), (4, 7), (8, 10)), (Entity(0, 3, "person"),))
    right = show_answer(tagged, Tagging("Ann met Bo", (FoundEntity("Ann", 0, 3, "person", 0.9),)))
    assert (right.expected, right.answered, right.good) == ("person Ann", "person Ann", True)
    assert show_answer(tagged, Tagging("Ann met Bo", ())).answered == "none"
    genes = (Gene("+", ((2, 8), (10, 16))),)
    record = DnaRecord("one", "A" * 1200, genes)
    marked = show_answer(record, marking_of_genes("one", genes, 1200))
    assert (marked.asked, marked.expected, marked.good) == ("one, 1,200 bases", "+ 3..8, 11..16", True)
    assert marked.answered == marked.expected
