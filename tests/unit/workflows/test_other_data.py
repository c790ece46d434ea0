"""A run scored on data that are not its own: they are read as its own were."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import seqlens
from seqlens.cli.main import build_app
from seqlens.errors import RequestError

MIXTURE = """
description: two directions
data:
  kind: mixture
  parts:
    - {data: {kind: pairs, path: fr.tsv}, tag: 2fr}
    - {data: {kind: pairs, path: de.tsv, source_column: 1, target_column: 0}, tag: 2de}
task:
  codec: {kind: shared, text: {kind: words}}
  model:
    embedding_dim: 8
    encoder: {kind: recurrent, cell: gru, hidden_dim: 8}
    decoder: {kind: transformer, num_layers: 1, num_heads: 2, feed_forward_dim: 8, positions: learned, max_length: 9}
  decoding: {method: greedy, max_length: 9}
  scores: [exact_match]
batches: {max_tokens: 120}
training: {max_steps: 2, precision: float32}
"""

WORDS = (("positive", "good"), ("negative", "bad"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    nouns = ("car", "house", "tree", "dog")
    (tmp_path / "fr.tsv").write_text("".join(f"the {one} {n}\tle {one[::-1]} {n}\n" for one in nouns for n in range(9)))
    (tmp_path / "de.tsv").write_text("".join(f"das {one} {n}\tthe {one} {n}\n" for one in nouns for n in range(9)))
    (tmp_path / "mixed.yaml").write_text(MIXTURE)
    return tmp_path


def invoke(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(build_app(), [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_data_of_a_run_with_tags_need_one_and_are_read_as_that_part(folder: Path) -> None:
    seqlens.train("mixed.yaml", out="run")
    (folder / "new.tsv").write_text("das tree 3\tthe tree 3\n")

    refused = invoke("evaluate", "run", "--data", "new.tsv", code=2)
    assert "run was trained on inputs that begin with a tag" in " ".join(refused.output.split())
    assert "one of 2de, 2fr" in " ".join(refused.output.split())
    unknown = invoke("evaluate", "run", "--data", "new.tsv", "--tag", "2d", code=2)
    assert "There is no tag '2d'" in " ".join(unknown.output.split())
    assert "their tags" in invoke("evaluate", "run", "--tag", "2de", code=2).output

    found = seqlens.evaluate("run", data="new.tsv", tag="<2de>", analyse=True)
    assert [(str(source), source.tag) for source in found.sources] == [("the tree 3", "2de")]
    assert found.references == ("das tree 3",)
    assert found.answers[0].log_prob == seqlens.load("run").predict("the tree 3", tag="2de").log_prob
    page = (found.folder / "analysis.html").read_text()
    assert "seqlens evaluate run --split test --data new.tsv --tag &#x27;&lt;2de&gt;&#x27; --analyse" in page
    again = seqlens.evaluate("run", data=Path("../") / folder.name / "new.tsv", tag="2de")
    assert again.folder == found.folder == Path("run/evaluation/new.tsv-2de-test")
    files = {"predictions.jsonl", "predictions.txt", "references.txt", "scores.json"}
    analysis = {"analysis.json", "analysis.html"}
    assert {one.name for one in again.folder.iterdir()} == files | analysis
    other = seqlens.evaluate("run", data="new.tsv", tag="2de", decoding={"max_length": 1})
    assert {one.name for one in other.folder.iterdir()} == files, "an analysis of other answers goes"


def test_a_tag_that_was_forgotten_is_told_wherever_sources_are_read(folder: Path) -> None:
    seqlens.train("mixed.yaml", out="run")
    (folder / "new.en").write_text("the tree 3\n")
    needed = "All training data of run had a tag; give one by --tag: 2de, 2fr"
    for command in (
        ("predict", "run", "the tree 3"),
        ("inspect", "run", "attention", "--input", "the tree 3"),
        ("backtranslate", "run", "--input", "new.en", "--output", "made.tsv"),
    ):
        assert needed in " ".join(invoke(*command).stderr.split())
        with_one = invoke(*command[:-1], command[-1].replace("made", "other"), "--tag", "2fr")
        assert needed not in " ".join(with_one.stderr.split())
    unknown = invoke("inspect", "run", "attention", "--input", "the tree 3", "--tag", "2f", code=2)
    assert "There is no tag '2f'" in " ".join(unknown.output.split())
    without_text = invoke("inspect", "run", "attention", "--tag", "2fr", code=2)
    assert "the run's own inputs have their tags" in " ".join(without_text.output.split())
    reranked = invoke("predict", "run", "--tag", "2de", "--set", "method=beam", "--rerank-by", "run", "the tree 3")
    assert "give that of the way back by --rerank-tag: 2de, 2fr." in " ".join(reranked.stderr.split())
    tagged = ("predict", "run", "--tag", "2de", "--set", "method=beam", "--rerank-by", "run", "--rerank-tag")
    assert "--rerank-tag:" not in " ".join(invoke(*tagged, "2fr", "the tree 3").stderr.split())
    unknown = invoke(*tagged, "2f", "the tree 3", code=2)
    assert "There is no tag '2f', expected one of 2de, 2fr" in " ".join(unknown.output.split())


def test_a_run_without_its_recipe_says_what_is_missing(folder: Path) -> None:
    seqlens.train("mixed.yaml", out="run")
    (folder / "run/recipe.yaml").unlink()
    (folder / "new.tsv").write_text("the tree 3\tle eert 3\n")
    for command in (("evaluate", "run"), ("evaluate", "run", "--data", "new.tsv"), ("inspect", "run", "gradients")):
        assert "run has no recipe.yaml, which says how its data are read" in " ".join(
            invoke(*command, code=2).output.split()
        )


def test_runs_on_other_pairs_are_told_by_the_first_that_differs(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.tsv").write_text("".join(f"{name} car {n}\tle {n}\n" for n in range(90)))
        seqlens.train(
            "mixed.yaml", out=name, overrides={"data": {"kind": "pairs", "path": str(folder / f"{name}.tsv")}}
        )
    refused = " ".join(invoke("compare", "one", "two", code=2).output.split())
    assert re.search(
        r": pair 1 is \('two car \d+', 'le \d+'\), not \('one car \d+', 'le \d+'\)\. Expected runs", refused
    )
    card = (folder / "one/README.md").read_text()
    assert "two directions; here with other data." in card


def test_runs_with_and_without_tags_are_compared_on_the_same_data(folder: Path) -> None:
    seqlens.train("mixed.yaml", out="many")
    data = {"kind": "pairs", "path": str(folder / "fr.tsv")}
    seqlens.train("mixed.yaml", out="one", overrides={"data": data})
    (folder / "new.tsv").write_text("the tree 3\tle eert 3\nthe dog 3\tle god 3\n")
    shutil.move("fr.tsv", "gone.tsv")  # which nothing here needs
    compared = ("compare", "many", "one", "--data", "new.tsv", "--by", "length")
    assert "trained on inputs that begin with a tag" in " ".join(invoke(*compared, code=2).output.split())
    assert "There is no tag '2f', expected one of 2de, 2fr" in " ".join(
        invoke(*compared, "--tag", "2f", code=2).output.split()
    )
    invoke(*compared, "--tag", "2fr")
    for run, tag in (("many", "2fr"), ("one", None)):
        alone = seqlens.evaluate(run, data="new.tsv", tag=tag, write=False)
        written = (folder / run / f"evaluation/new.tsv{'-2fr' if tag else ''}-test/predictions.txt").read_text()
        assert written.splitlines() == [answer.text for answer in alone.answers]
    missing = invoke(*compared[:-1], "rarest", "--tag", "2fr", code=2)
    assert "fr.tsv" in missing.output
    assert "Evaluating" not in missing.output


def test_other_data_have_the_sentences_of_context_that_the_run_was_trained_with(folder: Path) -> None:
    seqlens.train("translation/smoke", out="run", overrides={"training.max_steps": 2})
    story = [("The car is old.", "La voiture est vieille."), ("It is red.", "Elle est rouge.")]
    lines = [f"{source}\t{target}\t{number // 2}\n" for number, (source, target) in enumerate(story * 2)]
    (folder / "story.tsv").write_text("".join(lines))
    with pytest.raises(RequestError, match="'document_column'"):
        seqlens.evaluate("run", data="story.tsv", write=False)
    columns = {"document_column": 2}
    other = seqlens.evaluate("run", data="story.tsv", data_settings=columns, write=False)
    assert [source.context for source in other.sources] == [(), (story[0][0],)] * 2
    (folder / "test.en").write_text("The car is old.\nIt is red.\n\nIt is red.\n")
    (folder / "test.fr").write_text("La voiture est vieille.\nElle est rouge.\n\nElle est rouge.\n")
    found = seqlens.evaluate("run", data=folder, write=False)
    assert [(str(source), source.context) for source in found.sources] == [
        ("The car is old.", ()),
        ("It is red.", ("The car is old.",)),
        ("It is red.", ()),
    ]


def test_references_beyond_the_models_positions_are_told_and_no_search_error(folder: Path) -> None:
    seqlens.train("mixed.yaml", out="run")
    long = "le " * 12 + "tree"
    (folder / "long.tsv").write_text(f"the tree 3\t{long}\nthe dog 3\tle god 3\n")
    told: list[str] = []
    found = seqlens.evaluate("run", data="long.tsv", tag="2fr", analyse=True, announce=told.append)
    assert any(text.startswith("1 of the references are longer than the model's positions reach") for text in told)
    assert [one.num_compared for one in found.analysis.attribution] == [1, 1]


def test_examples_are_scored_where_the_training_data_are_gone(folder: Path) -> None:
    (folder / "own.tsv").write_text(
        "".join(f"a {word} day {n}\t{word}\n" for word in ("good", "bad") for n in range(20))
    )
    changes = {"data": {"kind": "labelled", "path": str(folder / "own.tsv"), "fold": 1}, "training.max_steps": 2}
    seqlens.train("sentiment/smoke", out="run", overrides=changes)
    shutil.move("own.tsv", "gone.tsv")
    (folder / "new.tsv").write_text("a good day\tgood\na bad day\tbad\n")
    told: list[str] = []
    found = seqlens.evaluate("run", data="new.tsv", announce=told.append)
    assert len(found.examples) == 2
    assert found.baseline_scores == {}
    assert told[-1].startswith("The baselines are left out, as the training data are not there: ")
    with pytest.raises(RequestError, match=r"own\.tsv"):
        seqlens.evaluate("run")


def test_other_data_are_analysed_where_the_training_data_cannot_be_downloaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqlens.errors import WorkError
    from seqlens.workflows import evaluate as module

    seqlens.train("mixed.yaml", out="run")

    def unreachable(predictor: object) -> None:
        raise WorkError("The server does not answer.")

    monkeypatch.setattr(module, "run_corpus", unreachable)
    told: list[str] = []
    (folder / "new.tsv").write_text("the tree 3\tle eert 3\n")
    found = seqlens.evaluate("run", data="new.tsv", tag="2fr", analyse=True, announce=told.append)
    assert found.analysis is not None
    assert told[0].startswith("Rare words and omissions are left out")
    assert told[0].endswith("does not answer.")
    with pytest.raises(WorkError, match="does not answer"):
        seqlens.evaluate("run", data=None)


def test_other_data_may_have_other_columns(folder: Path) -> None:
    seqlens.train("mixed.yaml", out="run")
    (folder / "new.tsv").write_text("7\tthe tree 3\tle eert 3\n")
    columns = ("--set", "data.source_column=1", "--set", " data.target_column=2")
    invoke("evaluate", "run", "--data", "new.tsv", "--tag", "2fr", *columns, "--set", "beam_width=1", "--analyse")
    answers = folder / "run/evaluation/new.tsv-2fr-test"
    assert (answers / "references.txt").read_text() == "le eert 3\n"
    page = (answers / "analysis.html").read_text()
    assert "--set data.source_column=1 --set data.target_column=2 --set beam_width=1" in page
    found = seqlens.evaluate("run", data="new.tsv", tag="2fr", data_settings={"source_column": 1, "target_column": 2})
    assert found.references == ("le eert 3",)
    assert found.folder.resolve() == answers.resolve()
    # The same file read in another way is scored beside it.
    other = seqlens.evaluate("run", data="new.tsv", tag="2fr", data_settings={"source_column": 2, "target_column": 1})
    assert other.folder.name == "new.tsv-2fr-test-2"
    assert json.loads((other.folder / "scores.json").read_text())["data_settings"] == [
        "source_column=2",
        "target_column=1",
    ]
    assert (answers / "references.txt").read_text() == "le eert 3\n"

    wrong = ("--set", "data.source_colunm=1")
    refused = " ".join(invoke("evaluate", "run", "--data", "new.tsv", "--tag", "2fr", *wrong, code=2).output.split())
    assert "source_colunm" in refused
    assert "did you mean 'source_column'" in refused.lower()
    with pytest.raises(RequestError, match=r"'data\.path=.*' is set, but where the data are is what 'data'"):
        seqlens.evaluate("run", data="new.tsv", tag="2fr", data_settings={"path": "new.tsv"})
    with pytest.raises(RequestError, match=r"The split is 'validation', but the file new\.tsv is all one"):
        seqlens.evaluate("run", data="new.tsv", tag="2fr", split="validation")
    refused = " ".join(invoke("evaluate", "run", *columns, code=2).output.split())
    assert "'data.source_column=1' is set, but the run's own data are read as in training" in refused


def test_other_examples_may_have_other_columns(folder: Path) -> None:
    lines = [f"{label}\ta {word} day {n}\n" for label, word in WORDS for n in range(20)]
    (folder / "own.tsv").write_text("".join(lines))
    own = {"kind": "labelled", "path": str(folder / "own.tsv"), "text_column": 1, "label_column": 0}
    seqlens.train("sentiment/smoke", out="run", overrides={"data": own, "training.max_steps": 2})
    (folder / "new.tsv").write_text("7\tpositive\ta good day\n8\tnegative\ta bad day\n")
    arguments = ("evaluate", "run", "--data", "new.tsv", "--set", "data.text_column=2", "--set", "data.label_column=1")
    invoke(*arguments)
    scores = json.loads((folder / "run/evaluation/new.tsv-test/scores.json").read_text())
    found = seqlens.evaluate("run", data="new.tsv", data_settings={"text_column": 2, "label_column": 1})
    assert [example.label for example in found.examples] == ["positive", "negative"]
    assert found["accuracy"].value == scores["scores"]["accuracy"]["value"]
    assert "'transduce'" in invoke(*arguments, "--set", "beam_width=1", code=2).output
    with pytest.raises(RequestError, match=r"data\.text_column"):
        seqlens.evaluate("run", data_settings={"text_column": 2})


def test_files_of_one_name_in_two_places_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seqlens.train("mixed.yaml", out="run")
    run = (folder / "run").resolve()
    for place in ("a", "b", "a"):
        (folder / place).mkdir(exist_ok=True)
        monkeypatch.chdir(folder / place)
        Path("new.tsv").write_text(f"from {place}\tto {place}\n")
        seqlens.evaluate(run, data="new.tsv", tag="2fr")
    found = {path.name: (path / "references.txt").read_text() for path in (run / "evaluation").iterdir()}
    assert found == {"new.tsv-2fr-test": "to a\n", "new.tsv-2fr-test-2": "to b\n"}


def test_an_infinite_perplexity_is_written_as_null(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqlens.workflows import forced as module

    seqlens.train("mixed.yaml", out="run")
    monkeypatch.setattr(module, "_encoded_log_probs", lambda predictor, encoded: [[-2000.0]] * len(encoded))
    found = seqlens.evaluate("run")
    assert found["perplexity"].value == float("inf")
    assert json.loads((found.folder / "scores.json").read_text())["scores"]["perplexity"]["value"] is None


def test_what_a_task_has_no_use_for_is_refused(folder: Path) -> None:
    for recipe, setting, told in (
        ("sentiment/smoke", "batches.subword_dropout_p=0.3", "'batches.subword_dropout_p' is for the task 'transduce'"),
        ("dna/smoke", "batches.max_length=500", "'batches.max_length' is not for the task 'mark'"),
    ):
        refused = invoke("train", recipe, "--out", "run", "--set", setting, code=2)
        assert told in " ".join(refused.output.split())


def test_examples_are_answered_from_whatever_can_be_gone_through(folder: Path) -> None:
    seqlens.train("sentiment/smoke", out="run", overrides={"training.max_steps": 1})
    model = seqlens.load("run", device="cpu")
    texts = ["a good day", "a bad day"]
    expected = [str(answer) for answer in model.predict(texts)]
    for given in (np.array(texts), (text for text in texts), dict.fromkeys(texts).keys()):
        assert [str(answer) for answer in model.predict(given)] == expected
    for wrong, told in (([["a good day"]], "Input 1 is list"), ({"text": "a"}, "Input 1 is dict"), ([1], "is int")):
        with pytest.raises(RequestError, match=told):
            model.predict(wrong)
