"""Fine-tuning: `seqlens train RECIPE --init RUN`, by the real command and in Python."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

import seqlens
from seqlens.cli.main import build_app
from seqlens.config import load_config
from seqlens.errors import RequestError
from seqlens.training.run_config import RunConfig
from seqlens.workflows.train import RECIPE_FILE

RECIPE = """
description: a small test
data: {{kind: pairs, path: {data}}}
task:
  codec: {codec}
  model:
    embedding_dim: 8
    dropout_p: 0.1
    encoder: {{kind: recurrent, cell: gru, hidden_dim: 8}}
    decoder: {{kind: recurrent, cell: gru, hidden_dim: 8}}
  decoding: {{method: greedy}}
batches: {{max_tokens: 60}}
training: {{max_steps: 4, validate_every: 2, precision: float32, log_every: 2, keep_checkpoints: 9}}
"""
WORDS = "{kind: separate, source: {kind: words}, target: {kind: words}}"
SUBWORDS = "{kind: shared, text: {kind: subwords, vocab_size: 330}}"


def write_pairs(path: Path, nouns: str) -> None:
    lines = [f"the {noun} is {n}\tle {noun[::-1]} est {n}\n" for noun in nouns.split() for n in range(12)]
    path.write_text("".join(lines), encoding="utf-8")


def write_recipe(folder: Path, name: str, nouns: str, codec: str) -> Path:
    write_pairs(folder / f"{name}.tsv", nouns)
    path = folder / f"{name}.yaml"
    path.write_text(RECIPE.format(data=folder / f"{name}.tsv", codec=codec), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "model.safetensors")


@pytest.mark.parametrize("codec", [WORDS, SUBWORDS], ids=["words", "subwords"])
def test_a_kept_vocabulary_starts_from_the_same_weights(folder: Path, codec: str) -> None:
    seqlens.train(write_recipe(folder, "first", "car house", codec), out="runs/first")
    second = write_recipe(folder, "second", "car tree", codec)

    result = invoke("train", second, "--init", "runs/first", "--out", "runs/second", "--set", "training.max_steps=2")

    assert result.exit_code == 0, result.output
    first, record = weights(Path("runs/first")), json.loads(Path("runs/second/run.json").read_text())
    at_start = safetensors.torch.load_file(Path("runs/second/checkpoints/step-00000000/model.safetensors"))
    assert at_start.keys() == first.keys()
    assert all(torch.equal(at_start[name], first[name]) for name in first)
    assert record["init"]["name"] == "first"
    assert (
        record["init"]["weights_sha256"]
        == json.loads(Path("runs/first/run.json").read_text())["files"]["model.safetensors"]
    )
    assert "started from | the run first" in Path("runs/second/README.md").read_text()
    assert not Path("runs/second/init.safetensors").exists()
    loaded = seqlens.load("runs/second", device="cpu")
    assert loaded.task.source_codec.fingerprint == seqlens.load("runs/first").task.source_codec.fingerprint


@pytest.mark.parametrize("codec", [WORDS, SUBWORDS], ids=["words", "subwords"])
def test_an_extended_vocabulary_keeps_the_rows_of_what_is_known(folder: Path, codec: str) -> None:
    seqlens.train(write_recipe(folder, "first", "car house", codec), out="runs/first")
    second = write_recipe(
        folder, "second", "car tree 猫", codec.replace("subwords,", "subwords, character_coverage: 1.0,")
    )

    run = seqlens.train(
        second, out="runs/second", init="runs/first", init_vocabulary="extended", overrides={"training.max_steps": 1}
    )

    earlier, now = seqlens.load("runs/first").task, run.predictor.task
    start = safetensors.torch.load_file(Path("runs/second/checkpoints/step-00000000/model.safetensors"))
    before = weights(Path("runs/first"))
    for side, embedding in (("source", "source_embedding.weight"), ("target", "target_embedding.weight")):
        old, new = getattr(earlier, f"{side}_codec"), getattr(now, f"{side}_codec")
        assert set(old.symbols()) < set(new.symbols())
        ids = {symbol: id for id, symbol in enumerate(new.symbols())}
        for id, symbol in enumerate(old.symbols()):
            assert torch.equal(start[embedding][ids[symbol]], before[embedding][id])
        fresh = [id for symbol, id in ids.items() if symbol not in set(old.symbols())]
        assert start[embedding][fresh].abs().sum(1).min() > 0
    assert now.source_codec.decode(now.source_codec.encode("the 猫 is 3")) == "the 猫 is 3"
    assert (
        torch.equal(
            start["encoder.layer.layers.0.forward.recurrent_weight"],
            before["encoder.layer.layers.0.forward.recurrent_weight"],
        )
        if "encoder.layer.layers.0.forward.recurrent_weight" in start
        else True
    )


def test_resumed_equals_uninterrupted_without_the_other_run(folder: Path) -> None:
    seqlens.train(write_recipe(folder, "first", "car house", WORDS), out="runs/first")
    second = write_recipe(folder, "second", "car tree", WORDS)
    options = ("--init", "runs/first", "--init-vocabulary", "extended")
    assert invoke("train", second, *options, "--out", "runs/whole").exit_code == 0
    assert invoke("train", second, *options, "--out", "runs/parts", "--set", "training.max_steps=2").exit_code == 0
    shutil.rmtree("runs/first")

    resumed = invoke("train", second, "--out", "runs/parts", "--resume", "--set", "training.max_steps=4")

    assert resumed.exit_code == 0, resumed.output
    for name in ("model.safetensors", "init.json", "codec/source/codec.json", "task.yaml"):
        assert (folder / "runs/parts" / name).read_bytes() == (folder / "runs/whole" / name).read_bytes()
    last = "checkpoints/step-00000004/optimizer.safetensors"
    assert (folder / "runs/parts" / last).read_bytes() == (folder / "runs/whole" / last).read_bytes()


def test_a_training_killed_before_its_first_checkpoint_starts_from_the_stored_weights(folder: Path) -> None:
    seqlens.train(write_recipe(folder, "first", "car house", WORDS), out="runs/first")
    second = write_recipe(folder, "second", "car tree", WORDS)
    seqlens.train(second, init="runs/first", out="runs/whole")
    start = folder / "runs/whole/checkpoints/step-00000000/model.safetensors"
    shutil.copytree("runs/whole", "runs/killed")
    for path in Path("runs/killed").iterdir():
        if path.name not in ("codec", "recipe.yaml", "init.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # What stands there at that moment: the first weights, tied ones once.
    packed = safetensors.torch.load_file(start)
    Path("runs/killed/init.safetensors").write_bytes(safetensors.torch.save(packed))
    shutil.rmtree("runs/first")

    seqlens.train(out="runs/killed", resume=True)

    assert Path("runs/killed/model.safetensors").read_bytes() == Path("runs/whole/model.safetensors").read_bytes()


def test_what_was_trained_on_before_and_is_held_out_now_is_told(folder: Path) -> None:
    first = write_recipe(folder, "first", "car house tree dog", WORDS)
    seqlens.train(first, out="runs/first")
    same = invoke("train", first, "--init", "runs/first", "--out", "runs/same", "--set", "training.max_steps=1")
    assert same.exit_code == 0, same.output
    assert "was trained on" not in " ".join(same.output.split())
    others = ("--set", "data.validation_fraction=0.2", "--set", "data.test_fraction=0.2")
    said = invoke(
        "train", first, "--init", "runs/first", "--out", "runs/other", "--set", "training.max_steps=1", *others
    )
    assert said.exit_code == 0, said.output
    assert re.search(
        r"runs/first was trained on \d+ of \d+ pairs of validation and \d+ of \d+ pairs of test, so",
        " ".join(said.output.split()),
    )


def test_a_codec_that_changes_nothing_is_told_and_new_words_are_as_many_as_asked_for(folder: Path) -> None:
    small = WORDS.replace("kind: words", "kind: words, vocab_size: 8")
    seqlens.train(write_recipe(folder, "first", "car house", small), out="runs/first")
    second = write_recipe(
        folder, "second", "car tree bird cat", WORDS.replace("kind: words", "kind: words, lowercase: true")
    )
    told: list[str] = []
    run = seqlens.train(
        second,
        out="runs/second",
        init="runs/first",
        init_vocabulary="extended",
        overrides={"training.max_steps": 1},
        announce=told.append,
    )
    assert (
        "The codec is that of runs/first, which has false as 'task.codec.source.lowercase'; the recipe's true"
        in " ".join(told)
    )
    known = {str(symbol[0]) for kind, symbol in run.predictor.task.source_codec.symbols() if isinstance(symbol, tuple)}
    assert {"car", "tree", "bird", "cat"} <= known, "8 symbols would leave no room for them"


def test_a_refused_resume_leaves_the_recipe_as_it_was(folder: Path) -> None:
    recipe = write_recipe(folder, "first", "car house", WORDS)
    seqlens.train(recipe, out="runs/first", overrides={"training.max_steps": 2})
    before = Path("runs/first/recipe.yaml").read_bytes()
    with pytest.raises(RequestError, match="moving average"):
        seqlens.train(recipe, out="runs/first", resume=True, overrides={"training.ema_decay": 0.9})
    assert Path("runs/first/recipe.yaml").read_bytes() == before
    seqlens.train(out="runs/first", resume=True, overrides={"training.max_steps": 4})
    assert json.loads(Path("runs/first/run.json").read_text())["training"]["steps"] == 4


def test_what_does_not_fit_is_refused_in_a_sentence(folder: Path) -> None:
    seqlens.train(write_recipe(folder, "first", "car house", WORDS), out="runs/first")
    second = write_recipe(folder, "second", "car tree", WORDS)
    where = ("--init", "runs/first", "--out", "runs/second")

    wide = invoke("train", second, *where, "--set", "task.model.encoder.hidden_dim=16")
    assert wide.exit_code == 2
    assert "The recipe's 'task.model.encoder.hidden_dim' is 16, but that of runs/first is 8" in wide.output
    kind = invoke("train", second, *where, "--set", "task.model.decoder.cell=lstm")
    assert "'task.model.decoder.cell' is lstm, but that of runs/first is gru" in kind.output
    vocabulary = invoke("train", second, *where, "--init-vocabulary", "extend")
    assert vocabulary.exit_code == 2
    assert "'extend', expected one of kept, extended. Did you mean 'extended'?" in vocabulary.output
    missing = invoke("train", second, "--init", "runs/frist", "--out", "runs/second")
    assert missing.exit_code == 2
    assert "There is no run folder runs/frist. runs has first. Did you mean 'first'?" in missing.output
    without = invoke("train", second, "--init-vocabulary", "extended", "--out", "runs/second")
    assert "but no run to start from was named (--init)" in without.output
    assert not Path("runs/second").exists()
    # Dropout is no matter of fitting.
    other = invoke("train", second, *where, "--set", "task.model.dropout_p=0.3", "--set", "training.max_steps=1")
    assert other.exit_code == 0, other.output
    with pytest.raises(RequestError, match="runs/first was not started from another run"):
        seqlens.train(folder / "first.yaml", out="runs/first", resume=True, init="runs/second")


def test_a_kept_vocabulary_that_lacks_a_tag_says_how_to_get_it(folder: Path) -> None:
    seqlens.train(write_recipe(folder, "first", "car house", WORDS), out="runs/first")
    mixed = folder / "mixed.yaml"
    parts = f"{{kind: mixture, parts: [{{data: {{kind: pairs, path: {folder / 'first.tsv'}}}, tag: bt}}]}}"
    mixed.write_text(
        (folder / "first.yaml").read_text().replace(f"{{kind: pairs, path: {folder / 'first.tsv'}}}", parts)
    )
    kept = invoke("train", mixed, "--init", "runs/first", "--out", "runs/tagged")
    assert kept.exit_code == 2
    assert "There is no tag 'bt'" in kept.output
    assert "with --init-vocabulary extended new tags are added" in kept.output
    where = ("--init", "runs/first", "--init-vocabulary", "extended", "--out", "runs/tagged")
    extended = invoke("train", mixed, *where)
    assert extended.exit_code == 0, extended.output
    assert invoke("train", mixed, "--init", "runs/tagged", "--out", "runs/again").exit_code == 0


def test_subword_dropout_is_the_same_resumed_and_without_prefetching(folder: Path) -> None:
    recipe = write_recipe(folder, "first", "carriage housekeeper", SUBWORDS)
    cut = ("--set", "batches.subword_dropout_p=0.3")
    assert invoke("train", recipe, *cut, "--out", "runs/whole").exit_code == 0
    assert invoke("train", recipe, *cut, "--out", "runs/parts", "--set", "training.max_steps=2").exit_code == 0
    assert invoke("train", "--out", "runs/parts", "--resume", "--set", "training.max_steps=4").exit_code == 0
    assert invoke("train", recipe, *cut, "--out", "runs/one", "--set", "batches.prefetch=0").exit_code == 0
    assert invoke("train", recipe, "--out", "runs/plain").exit_code == 0

    whole = Path("runs/whole/model.safetensors").read_bytes()
    assert Path("runs/parts/model.safetensors").read_bytes() == whole
    assert Path("runs/one/model.safetensors").read_bytes() == whole
    assert Path("runs/plain/model.safetensors").read_bytes() != whole
    assert load_config(RunConfig, Path("runs/whole") / RECIPE_FILE).batches.subword_dropout_p == 0.3
    changed = invoke("train", recipe, "--out", "runs/whole", "--resume", "--set", "batches.subword_dropout_p=0.1")
    assert changed.exit_code == 2
    assert "another 'batches.subword_dropout_p'" in changed.output
