"""`seqlens cross-validate`: every example once, pooled scores, nothing trained twice."""

import csv
import json
from pathlib import Path

import pytest

from seqlens.errors import RequestError
from seqlens.workflows.cross_validate import cross_validate
from tests.unit.cli.conftest import Invoke


def predictions(folder: Path) -> list[dict[str, str]]:
    table = folder / "evaluation" / "test" / "predictions.tsv"
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_text_is_held_out_once_and_the_scores_are_of_all(invoke: Invoke, opinions: Path) -> None:
    result = invoke("cross-validate", opinions, "--folds", "3", "--out", "cv", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    rows = [row for fold in range(3) for row in predictions(opinions.parent / "cv" / f"fold-{fold}")]
    texts = [line.split("\t")[0] for line in opinions.with_suffix(".tsv").read_text(encoding="utf-8").splitlines()]
    assert sorted(row["text"] for row in rows) == sorted(texts)
    right = sum(row["label"] == row["answer"] for row in rows)
    assert found["scores"]["accuracy"]["value"] == pytest.approx(right / 120)
    assert found["scores"]["accuracy"]["low"] < right / 120 < found["scores"]["accuracy"]["high"]
    assert len(found["by_fold"]["accuracy"]) == 3
    common, bayes = found["baselines"]
    assert common.startswith("commonest label")
    assert bayes == "naive Bayes, bigrams"
    assert set(found["tests"]) == {common, bayes}
    difference = found["scores"]["accuracy"]["value"] - found["baselines"][common]["accuracy"]["value"]
    assert found["tests"][common]["difference"] == pytest.approx(difference)


def test_finished_folds_are_taken_as_they_are_and_other_settings_refused(invoke: Invoke, opinions: Path) -> None:
    arguments = ("cross-validate", opinions, "--folds", "3", "--out", "cv")
    first = invoke(*arguments)
    assert first.exit_code == 0, first.output
    weights = opinions.parent / "cv" / "fold-1" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    again = invoke(*arguments)
    assert again.exit_code == 0
    assert again.stdout == first.stdout
    assert weights.stat().st_mtime_ns == written
    assert "fold 1: cv/fold-1 is trained already." in again.stderr
    other = invoke(*arguments, "--set", "training.max_steps=5")
    assert other.exit_code == 2
    assert "another 'training.max_steps'; give another --out" in other.stderr
    (opinions.parent / "cv" / "fold-0" / "run.json").unlink()  # as if it had been killed
    unfinished = invoke(*arguments, "--set", "training.optimizer.learning_rate=0.5")
    assert unfinished.exit_code == 2
    assert "another 'training.optimizer.learning_rate'; give another --out" in unfinished.stderr
    assert invoke(*arguments).stdout == first.stdout


def test_folds_of_other_data_are_not_taken(invoke: Invoke, opinions: Path) -> None:
    arguments = ("cross-validate", opinions, "--folds", "3", "--out", "cv")
    assert invoke(*arguments).exit_code == 0
    table = opinions.with_suffix(".tsv")
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("".join(f"{line} indeed\n" if "\t" not in line else f"so {line}\n" for line in lines))
    changed = invoke(*arguments)
    assert changed.exit_code == 2
    assert "The data of the split 'train' have changed since the training in cv/fold-0 began" in changed.stderr


def test_repeats_cut_other_folds_and_the_mean_is_over_them(invoke: Invoke, opinions: Path) -> None:
    own = ("--set", "data.num_folds=3", "--set", "data.fold_seed=5")
    result = invoke("cross-validate", opinions, *own, "--repeats", "2", "--out", "cv", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    for place, seed in (("fold-0", 5), ("repeat-1/fold-0", 6)):
        assert f"fold_seed: {seed}" in (opinions.parent / "cv" / place / "recipe.yaml").read_text()
    folder = opinions.parent / "cv"
    shares = []
    for place in (folder, folder / "repeat-1"):
        rows = [row for fold in range(3) for row in predictions(place / f"fold-{fold}")]
        assert len(rows) == 120
        shares.append(sum(row["label"] == row["answer"] for row in rows) / 120)
    assert found["scores"]["accuracy"]["value"] == pytest.approx(sum(shares) / 2)
    assert found["scores"]["accuracy"]["num_examples"] == 120
    first, second = ({row["text"] for row in predictions(place / "fold-0")} for place in (folder, folder / "repeat-1"))
    assert first != second


def test_data_without_folds_are_refused(invoke: Invoke) -> None:
    result = invoke("cross-validate", "sentiment/smoke", "--folds", "3")
    assert result.exit_code == 2
    assert "Data of kind 'moods' cannot be cut into folds, expected labelled, dna_windows, spans." in result.stderr


def test_no_repeat_is_refused() -> None:
    with pytest.raises(RequestError, match="'repeats' is 0, expected 1 or more"):
        cross_validate("sentiment/smoke", repeats=0)
