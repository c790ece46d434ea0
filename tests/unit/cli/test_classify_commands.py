"""From own labelled texts to a classifier by commands, and what broken texts get."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn import metrics as scikit
from typer.testing import Result

import seqlens

Invoke = Callable[..., Result]


def answered(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def test_own_texts_to_a_classifier_its_score_and_its_words(invoke: Invoke, opinions: Path) -> None:
    assert answered(invoke("train", opinions, "--out", "run")) == "run\n"
    result = invoke("evaluate", "run")
    table = answered(result)
    for part in ("naive Bayes, bigrams", "commonest label", "calibration error", "as trained", "Abstention", "100%"):
        assert part in table
    assert "A page with charts and mistakes is run/evaluation/test/report.html" in result.stderr
    page = Path("run/evaluation/test/report.html").read_text(encoding="utf-8")
    for title in ("Reliability", "Abstention", "By class", "The most confident mistakes", "naive Bayes"):
        assert title in page
    scores = json.loads(Path("run/evaluation/test/scores.json").read_text())["scores"]
    with Path("run/evaluation/test/predictions.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    truth, found = [row["label"] for row in rows], [row["answer"] for row in rows]
    assert scores["accuracy"]["value"] == pytest.approx(scikit.accuracy_score(truth, found), abs=1e-12)
    assert scores["macro_f1"]["value"] == pytest.approx(scikit.f1_score(truth, found, average="macro"), abs=1e-12)
    model = seqlens.load("run")
    assert [str(one) for one in model.predict([row["text"] for row in rows])] == answered(
        invoke("predict", "run", *(row["text"] for row in rows))
    ).splitlines()
    text = "There is nothing to like in this movie."
    (line,) = answered(invoke("predict", "run", "--json", "--set", "explain=true", text)).splitlines()
    answer = json.loads(line)
    assert [text[token["start"] : token["end"]] for token in answer["tokens"]] == [*text[:-1].split(), "."]
    lines = answered(invoke("inspect", "run", "words", "--input", text, "--output", "words.html")).splitlines()
    assert lines[0] == f"input   {text}"
    assert lines[1].startswith(f"answer  {answer['label']} (")
    assert [line.split()[0] for line in lines[3:12]] == [*text[:-1].split(), "."]
    assert [float(line.split()[1]) for line in lines[3:12]] == [
        pytest.approx(token["weight"], abs=0.006) for token in answer["tokens"]
    ]
    page = Path("words.html").read_text(encoding="utf-8")
    assert text in page
    assert "seqlens inspect run words --input &#x27;There is nothing to like in this movie.&#x27;" in page


def test_a_trained_task_meets_other_data(invoke: Invoke, opinions: Path) -> None:
    answered(invoke("train", opinions, "--out", "run"))
    Path("other.tsv").write_text("a funny film\tpositive\na dull film\tnegativ\n")
    result = invoke("evaluate", "run", "--data", "other.tsv")
    answered(result)
    assert "1 example has a label that training has not, the first is" in result.stderr
    assert "other.tsv line 2: 'negativ'" in result.stderr
    assert "Did you mean 'negative'?" in result.stderr
    for arguments, part in (
        (["inspect", "run", "words", "--input", " "], "The input is empty"),
        (["inspect", "run", "gates"], "expected one of 'transduce'"),
        (["predict", "run", "--set", "explian=true", "x"], "Did you mean 'explain'?"),
        (["predict", "run", "--set", "explain=3", "x"], "'explain' is 3, expected true or false"),
    ):
        refused = invoke(*arguments)
        assert refused.exit_code == 2, refused.output
        assert part in refused.stderr


def test_the_view_of_words_is_for_classifiers(invoke: Invoke, run: Path) -> None:
    refused = invoke("inspect", run, "words")
    assert refused.exit_code == 2
    assert "The view 'words' is for runs of the task 'classify'" in refused.stderr


@pytest.mark.parametrize(
    ("ending", "content", "settings", "parts"),
    [
        ("ptb", "(3 (2 a) (4 film))\n(3 (2 a) (4 film)\n", [], ["reviews.ptb line 2 ends inside a bracket"]),
        ("txt", "pos good\n\n", [], ["reviews.txt line 2 has nothing, expected a label, a space and a text"]),
        ("tsv", "good\tpos\nbad\n", [], ["reviews.tsv line 2 has 1 column, expected at least 2"]),
        (
            "tsv",
            "text\tlabel\ngood\tpos\n",
            ["data.text_column=text", "data.label_column=lable"],
            ["reviews.tsv has no column 'lable'", "Did you mean 'label'?"],
        ),
        ("jsonl", '{"text": "good"}\n', [], ["reviews.jsonl line 1 has no key 'label'"]),
        ("tsv", "très\tpos\n", [], ["reviews.tsv line 1 is not UTF-8: byte 0xe8"]),
        ("tsv", "", [], ["reviews.tsv is empty"]),
        (
            "tsv",
            "".join(f"good {number}\tpos\n" for number in range(40)),
            [],
            ["only the label 'pos'", "at least two different ones"],
        ),
        (
            "tsv",
            "".join(f"text {number}\t{number % 2}\n" for number in range(40)),
            ["task.class_weights={positiv: 2.0}"],
            ["'class_weights' has 'positiv'", "0, 1"],
        ),
        ("tsv", "good\tpos\nbad\tneg\n", ["data.fold=9", "data.num_folds=5"], ["'fold' is 9, expected 0 to 4"]),
        ("tsv", "good\tpos\nbad\tneg\n", ["data.format=tvs"], ["data.format", "'tvs'", "Did you mean 'tsv'?"]),
    ],
)
def test_broken_texts_are_told_with_their_place(
    invoke: Invoke, opinions: Path, ending: str, content: str, settings: list[str], parts: list[str]
) -> None:
    path = Path(f"reviews.{ending}")
    path.write_bytes(content.encode("latin-1"))
    changes = [part for setting in (f"data.path={path}", *settings) for part in ("--set", setting)]
    result = invoke("train", opinions, "--out", "run", *changes)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr
    assert not Path("run").exists(), "nothing half-written"


def test_data_of_one_name_in_two_folders_have_scores_in_two(invoke: Invoke, opinions: Path) -> None:
    answered(invoke("train", opinions, "--out", "run"))
    for folder, text in (("a", "a funny film"), ("b", "a dull film"), ("a", "a funny film"), ("b", "a dull story")):
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "new.tsv").write_text(f"{text}\tpositive\nso {text}\tnegative\n")
        answered(invoke("evaluate", "run", "--data", f"{folder}/new.tsv"))
    assert sorted(path.name for path in Path("run/evaluation").iterdir()) == ["new.tsv-test", "new.tsv-test-2"]
    assert "a dull story" in Path("run/evaluation/new.tsv-test-2/predictions.tsv").read_text()
    assert json.loads(Path("run/evaluation/new.tsv-test/scores.json").read_text())["data"] == "a/new.tsv"


def test_inputs_that_are_cut_are_told_of_by_every_command(invoke: Invoke, opinions: Path) -> None:
    encoder = "task.model.encoder={kind: transformer, num_layers: 1, positions: learned, max_length: 4}"
    model = ("--set", encoder, "--set", "task.model.embedding_dim=8", "--set", "task.model.pooling=mean")
    result = invoke("train", opinions, "--out", "run", *model)
    answered(result)
    assert "training texts are longer than the model's positions reach, and are cut there." in result.stderr
    result = invoke("evaluate", "run")
    answered(result)
    assert "inputs are longer than the model's positions reach, and are cut there." in result.stderr
    result = invoke("predict", "run", "one two three four five", "short")
    assert len(answered(result).splitlines()) == 2
    assert "1 of 2 inputs is longer than the model's positions reach, and is cut there." in result.stderr
    assert "cut there" not in invoke("predict", "run", "short").stderr


def test_scores_on_what_a_run_was_trained_on_are_doubted(invoke: Invoke, opinions: Path) -> None:
    answered(invoke("train", opinions, "--out", "run"))
    own = opinions.with_suffix(".tsv").name
    seen = " ".join(invoke("evaluate", "run", "--data", own).stderr.split())
    assert "run was trained on" in seen
    assert "of these 120 texts, so the scores are too high" in seen
    Path("new.tsv").write_text("a funny film\tpositive\na dull film\tnegative\n")
    assert "so the scores are too high" not in " ".join(invoke("evaluate", "run", "--data", "new.tsv").stderr.split())
    near = invoke("evaluate", "run", "--data", f"{own[:-4]}s.tsv")
    assert near.exit_code == 2
    assert f"Did you mean '{own}'?" in near.stderr
