"""Whether a folder may be trained in: what a kill left behind, data that changed meanwhile, context that is new."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import seqlens
from seqlens.config import load_config, write_atomically
from seqlens.config.locking import locked
from seqlens.errors import RequestError, WorkError
from seqlens.inference import run_folder
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import claim_folder

SHORT = {"training.max_steps": 2, "training.validate_every": 2}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_pairs(path: Path, noun: str) -> None:
    path.write_text("".join(f"the {noun} {number}\tle {noun} {number}\n" for number in range(40)))


def test_what_a_killed_write_leaves_stands_in_nobodys_way(folder: Path) -> None:
    for place in ("run", "run/codec"):
        (folder / place).mkdir()
        (folder / place / ".seqlens-0123456789abcdef.tmp").write_text("half")
    seqlens.train("translation/smoke", out="run", overrides=SHORT, resume=True)
    files = json.loads((folder / "run" / "run.json").read_text())["files"]
    assert any(name.startswith("codec/") for name in files)
    assert not any("tmp" in name for name in files)
    (folder / "other").mkdir()
    (folder / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RequestError, match="other holds other files already"):
        claim_folder(Path("other"), load_config(RunConfig, Path("run/recipe.yaml")), resume=True, announce=print)


@pytest.mark.parametrize("recipe", ["dna/smoke", "ner/smoke", "sentiment/smoke"])
def test_a_training_killed_before_its_first_checkpoint_begins_anew(recipe: str, folder: Path) -> None:
    """Counts and word vectors that a task was fitted to are in its model alone."""
    whole = seqlens.train(recipe, out="whole", overrides=SHORT)
    seqlens.train(recipe, out="killed", overrides=SHORT)
    for name in ("run.json", "model.safetensors", "log.jsonl", "times.jsonl", "metrics.json"):
        (folder / "killed" / name).unlink()
    shutil.rmtree("killed/checkpoints")
    resumed = seqlens.train(recipe, out="killed", overrides=SHORT, resume=True)
    assert resumed.result.steps == whole.result.steps == 2
    assert resumed.result.final_metrics == whole.result.final_metrics
    assert (folder / "killed/model.safetensors").read_bytes() == (folder / "whole/model.safetensors").read_bytes()


@pytest.mark.parametrize("recipe", ["dates/smoke", "ner/smoke"])
def test_a_finished_run_without_checkpoints_is_not_trained_anew(recipe: str, folder: Path) -> None:
    seqlens.train(recipe, out="run", overrides=SHORT)
    shutil.rmtree("run/checkpoints")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match=r"run holds a finished run without checkpoints.*--init run"):
        seqlens.train(out="run", resume=True, overrides={"training.max_steps": 3})
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before
    (folder / "run/run.json").unlink()  # a training killed before its first checkpoint has none either, and is told
    told: list[str] = []
    seqlens.train(out="run", resume=True, overrides=SHORT, announce=told.append)
    assert told[0] == "There is no checkpoint in run yet; the training starts from the beginning."


def test_one_training_at_a_time_is_in_a_folder(folder: Path) -> None:
    with locked(Path("run"), "training"):
        with pytest.raises(RequestError, match=r"Another process is training in run; give another --out, or wait\."):
            seqlens.train("dates/smoke", out="run", overrides=SHORT)
        assert [path.name for path in Path("run").iterdir()] == [".lock"]
    assert not Path("run").exists(), "what was made for the lock alone"
    seqlens.train("dates/smoke", out="run", overrides=SHORT)
    assert not Path("run/.lock").exists()
    Path("run/.lock").touch()  # as a kill leaves it
    longer = {"training.max_steps": 3}
    assert seqlens.train(out="run", overrides=longer, resume=True).result.steps == 3
    Path("file").touch()
    with pytest.raises(RequestError, match="file is a file, expected a new folder"):
        seqlens.train("dates/smoke", out="file", overrides=SHORT)
    with pytest.raises(WorkError, match=r"file/run cannot be written to: "):
        seqlens.train("dates/smoke", out="file/run", overrides=SHORT)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_training_does_not_go_on_with_other_data(folder: Path, split: str) -> None:
    (folder / "data").mkdir()
    for name in ("train", "validation"):
        write_pairs(folder / "data" / f"{name}.tsv", "car")
    overrides = {"data": {"kind": "pairs", "path": str(folder / "data")}, **SHORT}
    seqlens.train("translation/smoke", out="run", overrides=overrides)
    write_pairs(folder / "data" / f"{split}.tsv", "cat")
    longer = {"training.max_steps": 4}
    with pytest.raises(RequestError, match=f"The data of the split '{split}' have changed since the training in run"):
        seqlens.train(out="run", resume=True, overrides=longer)
    write_pairs(folder / "data" / f"{split}.tsv", "car")
    assert seqlens.train(out="run", resume=True, overrides=longer).result.steps == 4
    (folder / "run" / "data.json").write_text("[]")
    with pytest.raises(WorkError, match=r"run/data\.json is damaged"):
        seqlens.train(out="run", resume=True, overrides=longer)
    (folder / "run" / "data.json").unlink()  # as in a folder of an earlier version
    write_pairs(folder / "data" / f"{split}.tsv", "cat")
    assert seqlens.train(out="run", resume=True, overrides={"training.max_steps": 5}).result.steps == 5


def test_examples_are_looked_at_too(folder: Path) -> None:
    path = folder / "own.tsv"
    path.write_text("".join(f"a {word} day {number}\t{word}\n" for word in ("good", "bad") for number in range(30)))
    overrides = {"data": {"kind": "labelled", "path": str(path)}, **SHORT}
    seqlens.train("sentiment/smoke", out="run", overrides=overrides)
    path.write_text(path.read_text().replace("day 3", "day three"))
    with pytest.raises(RequestError, match="have changed since the training in run"):
        seqlens.train(out="run", resume=True, overrides={"training.max_steps": 4})


def test_a_kill_while_a_run_is_finished_again_leaves_no_record_of_mixed_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seqlens.train("translation/smoke", out="run", overrides=SHORT)

    def killed(path: Path, value: Any) -> None:
        if path.name == "run.json":
            raise KeyboardInterrupt
        write_atomically(path, json.dumps(value))

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            seqlens.train(out="run", resume=True, overrides={"training.max_steps": 3})
    with pytest.raises((RequestError, WorkError), match="--resume"):
        seqlens.load("run")
    assert seqlens.train(out="run", resume=True, overrides={"training.max_steps": 3}).result.steps == 3
    assert seqlens.load("run").predict("It is red.") is not None


def test_context_that_a_kept_vocabulary_has_no_mark_for_is_refused(folder: Path) -> None:
    seqlens.train("translation/smoke", out="single", overrides={"data.context": None, **SHORT})
    with pytest.raises(RequestError, match=r"'data\.context' is given, but single was .*--init-vocabulary extended"):
        seqlens.train("translation/smoke", out="run", overrides=SHORT, init="single")
    seqlens.train("translation/smoke", out="run", overrides=SHORT, init="single", init_vocabulary="extended")
