"""Rows of tasks that learn from examples: done for real on small recipes, shown on the page."""

import gzip
import re
from pathlib import Path

import pytest

from benchmarks.quality.entry import Entry, Goal
from benchmarks.quality.example_work import keep_files, without_texts
from benchmarks.quality.jobs import plan_jobs
from benchmarks.quality.queue import run_queue
from benchmarks.quality.results import results_page
from benchmarks.quality.work import SeqlensWorker
from benchmarks.rows import Row, read_rows
from seqlens.data.moods import MoodsData, generate_moods
from seqlens.inference import describe_machine
from seqlens.workflows.recipes import find_recipe

SHORT = {"training.max_seconds": 60, "training.max_steps": 4}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))


def run(entry: Entry, tmp_path: Path) -> Row:
    origin = {"seqlens": "0", "commit": "c", "machine": describe_machine(), "time": "2026-01-02T03:04:05+00:00"}
    rows = tmp_path / "rows.jsonl"
    tally = run_queue(
        plan_jobs([entry]),
        rows=rows,
        folder=tmp_path / "work",
        worker=SeqlensWorker(tmp_path / "answers"),
        describe_origin=lambda: origin,
        announce=lambda text: None,
    )
    assert not tally.failed
    (row,) = read_rows(rows)
    return row


def test_a_row_has_scores_baselines_tests_and_kept_answers(tmp_path: Path) -> None:
    entry = Entry(
        name="moods-smoke",
        title="Opinions, hardly trained",
        section="Sentiment",
        recipe="sentiment/smoke",
        seeds=(3,),
        splits=("test",),
        overrides=SHORT,
        goals=(Goal(split="test", score="accuracy", to_reach=0.999, source="this test"),),
    )
    row = run(entry, tmp_path)
    test = row["splits"]["test"]
    assert row["task"] == "classify"
    assert row["data"]["fingerprints"].keys() >= {"train", "validation"}
    assert row["selection"]["metric"] == "loss"
    accuracy = test["scores"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert set(test["tests"]) == set(test["baselines"])
    assert test["predictions"] == {"predictions.tsv": "kept"}
    (kept,) = (tmp_path / "answers").rglob("*.gz")
    lines = [line.split("\t") for line in gzip.decompress(kept.read_bytes()).decode().splitlines()]
    assert lines[0][:2] == ["label", "answer"]
    right = [label == answer for label, answer, *_ in lines[1:]]
    assert sum(right) / len(right) == pytest.approx(accuracy["value"])
    assert "the" not in kept.read_bytes().decode("latin-1").split()
    page = results_page([row], [], [entry])
    assert "| not reached |" in page
    assert re.search(rf"\| {accuracy['value']:.3f} \|", page)
    assert "accuracy against naive Bayes, bigrams" in page
    assert str(tmp_path) not in page


def test_folds_are_one_row(tmp_path: Path) -> None:
    texts = generate_moods(MoodsData(num_train=90), "train")
    (tmp_path / "opinions.tsv").write_text("".join(f"{one.text}\t{one.label}\n" for one in texts), encoding="utf-8")
    smoke = find_recipe("sentiment/smoke").path.read_text(encoding="utf-8")
    recipe = tmp_path / "opinions.yaml"
    recipe.write_text(re.sub(r"data: \{.*\}", "data: {kind: labelled, path: opinions.tsv}", smoke), encoding="utf-8")
    entry = Entry(
        name="opinions-folds",
        title="Opinions, 3 folds",
        section="Sentiment",
        recipe=str(recipe),
        seeds=(1,),
        splits=("folds",),
        folds=3,
        overrides=SHORT,
        goals=(Goal(split="folds", score="accuracy", to_reach=0.999, source="this test"),),
    )
    row = run(entry, tmp_path)
    found = row["splits"]["folds"]
    assert found["scores"]["accuracy"]["num_examples"] == 90
    assert len(found["by_fold"]["accuracy"]) == 3
    page = results_page([row], [], [entry])
    assert "3 folds" in page
    assert "all folds" in page
    with pytest.raises(ValueError, match="the one split 'folds'"):
        Entry(name="a", title="", section="", recipe="x", seeds=(1,), splits=("test",), folds=3)


def test_no_text_of_a_data_set_is_kept(tmp_path: Path) -> None:
    table = 'label\tanswer\tp(a)\ttext\na\tb\t0.5\t"a ""quoted"" text"\n'
    assert without_texts("predictions.tsv", table) == "label\tanswer\tp(a)\na\tb\t0.5\n"
    assert without_texts("predictions.conll", "Ann B-p B-p\nmet O B-p\n\n") == "B-p B-p\nO B-p\n\n"
    assert without_texts("predictions.jsonl", "{}") is None
    told = keep_files(tmp_path, "stem", {"predictions.jsonl": "{}", "predictions.bed": "chr\t1\t2\n"})
    assert told["predictions.bed"] == "kept"
    assert told["predictions.jsonl"].startswith("not kept")
    assert [path.name for path in tmp_path.glob("*.gz")] == ["stem-predictions.bed.gz"]
