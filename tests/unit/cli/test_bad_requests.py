"""What a wrong request gets: exit code 2 (1 where the work failed) and a sentence with place, finding and choice."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from seqlens.config import sha256_of
from seqlens.data.text import CharactersConfig, fit_codec

Invoke = Callable[..., Result]


def refused(result: Result, *parts: str, code: int = 2) -> None:
    """Asserts that stderr says all of this in a sentence, and stdout nothing."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "error: " in result.stderr.lower()
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trian"], ["No such command 'trian'", "'train'"]),
        (["data", "lst"], ["'lst'", "'list'"]),
        (["train", "dates/smoke", "--ot", "x"], ["No such option: --ot", "--out"]),
        (["train"], ["No recipe was named"]),
        (["train", "dates/smok"], ["no recipe 'dates/smok'", "Did you mean 'dates/smoke'?"]),
        (["train", "zzz"], ["no recipe 'zzz'", "dates/gru-attention"]),
        (["train", "mine.yaml"], ["no recipe file mine.yaml"]),
        (["train", "--resume", "--out", "nothing"], ["nothing holds no training to resume"]),
        (
            ["train", "dates/smoke", "--set", "training.max_stepz=3"],
            ["--set training.max_stepz", "not a setting", "Did you mean 'max_steps'?"],
        ),
        (
            ["train", "dates/smoke", "--set", "task.model.embedding_dim='8'"],
            ["--set task.model.embedding_dim", "'8' (text)", "whole number"],
        ),
        (["train", "dates/smoke", "--set", "training"], ["--set training", "no '='"]),
        (
            ["train", "dates/smoke", "--set", "task.model.decoder.attention=dot"],
            ["task.model", "gives 48 entries", "'decoder.hidden_dim' is 24", "'bilinear'"],
        ),
        (
            ["train", "translation/transformer", "--set", "task.model.embedding_dim=66"],
            ["'encoder.num_heads' is 4, expected a divisor of 'embedding_dim', which is 66"],
        ),
        (
            [
                "train",
                "dates/smoke",
                "--set",
                "task.model.decoder={kind: recurrent, attention: multi_head, num_heads: 7}",
            ],
            ["'decoder.num_heads' is 7, expected a divisor of 'decoder.hidden_dim', which is 256"],
        ),
        (
            [
                "train",
                "dates/smoke",
                "--set",
                "task.model.decoder={kind: transformer, positions: rotary, num_heads: 16}",
            ],
            ["'decoder.positions: rotary'", "a head has 1"],
        ),
        *(
            (["train", f"{kind}/smoke", "--set", "training.metric=los"], ["'training.metric' is 'los'", "'loss'?"])
            for kind in ("dates", "sentiment", "ner", "dna", "language")
        ),
        (["train", "translation/transformer", "--set", "data.path=multi31k"], ["Did you mean 'multi30k'?"]),
        (["train", "dates/smoke", "--device", "gpu"], ["no device 'gpu'", "auto, cpu"]),
        (["evaluate", "runs/smokes"], ["no run folder runs/smokes", "Did you mean 'smoke'?"]),
        (["evaluate", "runs/smoke", "--split", "tests"], ["no split 'tests'", "train, validation, test"]),
        (["evaluate", "runs/smoke", "--data", "multi31k"], ["'multi31k'", "Did you mean 'multi30k'?"]),
        (["evaluate", "runs/smoke", "--set", "beam_widht=2"], ["'beam_widht'", "Did you mean 'beam_width'?"]),
        (["predict", "runs/smoke", "--set", "beam_width=two", "x"], ["'two' (text)", "whole number"]),
        (["predict", "runs/smoke", "--input", "no.txt"], ["no input file no.txt"]),
        (["predict", "runs/smoke", "--input", "no.txt", "x"], ["given twice"]),
        (["predict", "."], [". is not a run folder: it has no run.json"]),
        (["inspect", "runs/smoke", "atention"], ["no view 'atention'", "Did you mean 'attention'?"]),
        (["inspect", "runs/smoke", "gates", "--input", " "], ["input is empty"]),
        (["compare", "runs/smoke"], ["two or more"]),
        (["compare", "runs/smoke", "runs/smoke"], ["named twice"]),
        (["compare", "runs/smoke", "runs/../runs/smoke/"], ["named twice"]),
        (["compare", "runs/smoke", "runs/smock"], ["no run folder runs/smock", "Did you mean 'smoke'?"]),
        (["compare", "runs/smoke", "dates/smok"], ["Did you mean 'dates/smoke'?"]),
        (["compare", "runs/smoke", "dates/smoke", "--set", "seed=2"], ["runs/smoke is trained already"]),
        (["demo", "datse"], ["no demo 'datse'", "Did you mean 'dates'?"]),
        (["data", "fetch", "multi30"], ["no data set 'multi30'", "Did you mean 'multi30k'?"]),
        (["data", "fetch", "uci-splise"], ["no data set 'uci-splise'", "multi30k, ", "Did you mean 'uci-splice'?"]),
        (["data", "show", "ncbi-desease"], ["'ncbi-desease'", "Did you mean 'ncbi-disease'?"]),
        (["train", "sentiment/sst2", "--set", "data.path=sst2"], ["no data set, file or", "Did you mean 'sst'?"]),
        (["data", "show", "date"], ["'date'", "Did you mean 'dates'?"]),
        (["data", "show", "dates/smoke", "--split", "dev"], ["no split 'dev'", "Did you mean 'validation'?"]),
        (["data", "check", "nowhere"], ["'nowhere'", "multi30k, tatoeba-fra-eng, dates"]),
        (["data", "check", "dates", "--kind", "transduse"], ["Did you mean 'transduce'?"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_request_is_refused_in_a_sentence(
    invoke: Invoke, run: Path, arguments: list[str], parts: list[str]
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refused(invoke(*arguments), *parts)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert [path.name for path in Path().iterdir()] == ["runs"], "a refused request must leave nothing behind"
    assert [path.name for path in Path("runs").iterdir()] == [run.name]


def test_a_misspelt_key_in_a_file_is_told_with_its_line(invoke: Invoke) -> None:
    Path("mine.yaml").write_text("data: {kind: dates}\ntraining:\n  max_stepz: 3\n")
    refused(invoke("train", "mine.yaml"), "mine.yaml line 3", "'training.max_stepz'", "Did you mean 'max_steps'?")
    assert not Path("runs").exists()


def test_several_faults_are_told_a_line_each(invoke: Invoke) -> None:
    refused(
        invoke("train", "dates/smoke", "--set", "seed=x", "--set", "batches.max_tokens=0"),
        "error: --set seed:",
        "error: --set batches.max_tokens:",
    )


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ({"train.tsv": b"a\tb\nno tab\n"}, ["train.tsv line 2 has no tab"]),
        ({"train.tsv": b""}, ["train.tsv is empty"]),
        ({"train.de": b"a\nb\nc\n", "train.en": b"a\nb\n"}, ["train.de has 3 lines", "train.en has 2"]),
        ({"train.de": b"a\n\xff\n", "train.en": b"a\nb\n"}, ["train.de line 2 is not UTF-8: byte 0xff"]),
        ({"train.jsonl": b'{"source": "a", "tarqet": "b"}\n'}, ["train.jsonl line 1", "'tarqet'"]),
    ],
    ids=["tab", "empty", "lengths", "encoding", "key"],
)
def test_faults_in_training_data_are_told_with_their_place(
    invoke: Invoke, files: dict[str, bytes], parts: list[str]
) -> None:
    Path("corpus").mkdir()
    for name, content in files.items():
        Path("corpus", name).write_bytes(content)
    Path("mine.yaml").write_text(
        "data: {kind: pairs, path: corpus, source: de, target: en}\ntraining: {max_steps: 2}\n"
    )
    refused(invoke("train", "mine.yaml"), *parts)
    assert not Path("runs").exists()


def test_a_broken_line_to_answer_is_told_and_nothing_is_written(invoke: Invoke, run: Path) -> None:
    Path("in.txt").write_bytes(b"1 mai 2001\n\xff\n")
    refused(invoke("predict", run, "--input", "in.txt", "--output", "out.txt"), "in.txt line 2 is not UTF-8: byte 0xff")
    assert not Path("out.txt").exists()
    refused(invoke("predict", run, input=b"1 mai 2001\n\xfe\n"), "stdin line 2 is not UTF-8: byte 0xfe")


def test_a_folder_in_use_is_left_alone(invoke: Invoke, run: Path) -> None:
    refused(invoke("train", "dates/smoke", "--out", run), "holds a finished run already", "--resume")
    refused(invoke("train", "dates/smoke", "--out", run, "--resume", "--set", "seed=9"), "another 'seed'")
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("")
    refused(invoke("train", "dates/smoke", "--out", "mine"), "mine holds other files already")
    refused(invoke("train", "dates/smoke", "--out", "mine", "--resume"), "mine holds other files already")


def corrupt(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("name", ["model.safetensors", "task.yaml", "codec/source/codec.json"])
def test_a_damaged_file_of_a_run_is_named(invoke: Invoke, run: Path, name: str) -> None:
    corrupt(run / name)
    refused(invoke("predict", run, "1 mai 2001"), f"{run / name} is damaged", code=1)
    (run / name).unlink()
    refused(invoke("evaluate", run), f"{run / name} is missing", code=1)


def test_a_damaged_record_is_named(invoke: Invoke, run: Path) -> None:
    (run / "run.json").write_text("{")
    refused(invoke("inspect", run, "gates"), "run.json line 1", code=1)
    (run / "run.json").write_text('{"format": 99, "files": {}}')
    refused(invoke("inspect", run, "gates"), "format 99", code=1)


def test_a_vocabulary_that_does_not_fit_the_weights_is_told(invoke: Invoke, run: Path) -> None:
    codec = run / "codec/source/codec.json"
    fit_codec(CharactersConfig(), ["abc"]).save(codec.parent)
    refused(invoke("predict", run, "x"), "codec.json is damaged or was changed", code=1)
    record = json.loads((run / "run.json").read_text())
    record["files"]["codec/source/codec.json"] = sha256_of(codec)
    (run / "run.json").write_text(json.dumps(record))
    refused(invoke("predict", run, "x"), "model.safetensors does not fit", "source_embedding", code=1)


def test_an_unfinished_training_says_how_to_go_on(invoke: Invoke, run: Path) -> None:
    (run / "run.json").unlink()
    refused(invoke("predict", run, "x"), "has not ended", f"seqlens train --resume --out {run}")


def test_a_bug_keeps_its_traceback(invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqlens.inference.loading.read_any_run", lambda path: 1 / 0)
    assert isinstance(invoke("predict", run, "x").exception, ZeroDivisionError)


def test_a_path_typed_on_the_command_line_is_taken_from_where_it_was_typed(invoke: Invoke) -> None:
    Path("corpus").mkdir()
    lines = [f"{number} Katzen\t{number} cats\n" for number in range(60)]
    Path("corpus", "pairs.tsv").write_text("".join(lines))
    Path("recipes").mkdir()
    Path("recipes", "own.tsv").write_text("".join(lines))
    Path("recipes", "mine.yaml").write_text("data: {kind: pairs, path: own.tsv}\ntraining: {max_steps: 1}\n")
    small = ("--set", "task.model.embedding_dim=8", "--set", "task.model.encoder={kind: recurrent, hidden_dim: 4}")
    for out, arguments in (("a", ()), ("b", ("--set", "data.path=corpus/pairs.tsv"))):
        result = invoke("train", "recipes/mine.yaml", "--out", out, *small, *arguments)
        assert result.exit_code == 0, result.stderr
    assert "recipes/own.tsv" in Path("a", "recipe.yaml").read_text()
    assert "corpus/pairs.tsv" in Path("b", "recipe.yaml").read_text()


def test_epochs_end_with_their_last_batch(invoke: Invoke) -> None:
    Path("pairs.tsv").write_text("".join(f"{number} Katzen\t{number} cats\n" for number in range(60)))
    Path("mine.yaml").write_text(
        "data: {kind: pairs, path: pairs.tsv}\ntraining: {max_epochs: 3, precision: float32}\n"
    )
    small = ("--set", "task.model.embedding_dim=8", "--set", "task.model.encoder={kind: recurrent, hidden_dim: 4}")
    result = invoke("train", "mine.yaml", "--out", "run", *small)
    assert result.exit_code == 0, result.stderr
    assert "Trained 3 steps (3.0 epochs)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "nope.tsv"), "There is no data set, folder or file 'nope.tsv'"),
        (("--by", "length"), "Buckets of sentences (--by) are for runs of the task 'transduce'"),
        (("--tag", "x"), "A tag is for runs of the task 'transduce'"),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_is_trained(
    invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = invoke("compare", "sentiment/smoke", "sentiment/moods-gru", *arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "runs").exists()


def test_recipes_of_two_tasks_are_not_compared(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("compare", "sentiment/smoke", "ner/smoke")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert "sentiment/smoke is of the task 'classify' and ner/smoke of 'tag', expected one task" in told
    assert not (tmp_path / "runs").exists()
