"""What each command does and prints, in this process; `tests/contracts/test_command_line.py` runs the real thing."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from seqlens.config import load_config
from seqlens.data.catalogue import read_card
from seqlens.errors import WorkError
from seqlens.report import Table
from seqlens.training.run_config import RunConfig
from seqlens.workflows.recipes import list_recipes, read_description

Invoke = Callable[..., Result]


def answered(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    "command",
    ["demo", "recipes", "settings", "train", "evaluate", "predict", "compare", "inspect", "backtranslate"]
    + [f"data {verb}" for verb in ("list", "fetch", "show", "check")],
)
def test_every_command_explains_itself_with_an_example(invoke: Invoke, command: str) -> None:
    help_page = answered(invoke(*command.split(), "--help"))
    examples = help_page.partition("Examples:")[2]
    assert f"  seqlens {command}" in examples
    assert command.split()[0] in answered(invoke("--help"))


def test_descriptions_are_read_as_the_recipe_has_them(invoke: Invoke) -> None:
    listed = answered(invoke("recipes"))
    for recipe in [*list_recipes(), *list_recipes(smoke=True)]:
        description = read_description(recipe)
        assert description == load_config(RunConfig, recipe.path).description != ""
        assert any(line.split()[0] == recipe.name and description in line for line in listed.splitlines() if line)


def test_train_prints_the_folder_and_tells_what_next(invoke: Invoke) -> None:
    result = invoke("train", "dates/smoke", "--set", "training.max_steps=2", "--set", "training.validate_every=1")
    assert answered(result) == "runs/dates/smoke\n"
    assert "step 1/2  loss" in result.stderr
    assert "step 2  validation: loss" in result.stderr
    for command in ("evaluate", "predict", "inspect"):
        assert f"\n  seqlens {command} runs/dates/smoke" in result.stderr
    assert json.loads(Path("runs/dates/smoke/run.json").read_text())["recipe"] == "dates/smoke"


def test_a_resumed_training_keeps_the_name_of_its_recipe(invoke: Invoke) -> None:
    settings = ["--set", "training.max_steps=2", "--set", "training.validate_every=1"]
    answered(invoke("train", "dates/smoke", "--out", "mine", *settings))
    assert answered(invoke("train", "--out", "mine", "--resume", "--set", "training.max_steps=3")) == "mine\n"
    record = json.loads(Path("mine/run.json").read_text())
    assert (record["recipe"], record["training"]["steps"]) == ("dates/smoke", 3)
    assert Path("mine/README.md").read_text().startswith("# dates/smoke\n")


def test_resume_of_nothing_starts_and_says_so(invoke: Invoke) -> None:
    result = invoke("train", "dates/smoke", "--resume", "--set", "training.max_steps=1")
    assert answered(result) == "runs/dates/smoke\n"
    assert "There is no training in runs/dates/smoke to resume; it starts from the beginning." in result.stderr


def test_evaluate_shows_intervals_and_baselines_and_writes_them(invoke: Invoke, run: Path) -> None:
    table = answered(invoke("evaluate", run))
    assert "dates, split test, 40 pairs" in table
    lines = table.splitlines()
    assert [word for word in ("exact match", "chrF2", "perplexity") if word not in lines[2]] == []
    assert lines[4].split()[:2] == [str(run), "0.000"]
    assert "[" in lines[4]
    assert [line.strip()[:16] for line in lines[5:7]] == ["copy the source ", "nearest training"]
    assert len((run / "evaluation/test/predictions.txt").read_text().splitlines()) == 40


def test_evaluate_on_other_data(invoke: Invoke, run: Path) -> None:
    Path("own.tsv").write_text("1 mai 2001\t2001-05-01\n2 mai 2001\t2001-05-02\n")
    table = answered(invoke("evaluate", run, "--data", "own.tsv", "--set", "method=greedy"))
    assert table.startswith("own.tsv, split test, 2 pairs\n")
    scores = json.loads((run / "evaluation/own.tsv-test/scores.json").read_text())
    assert scores["decoding"]["method"] == "greedy"


def test_predict_gives_a_line_for_each_input(invoke: Invoke, run: Path) -> None:
    texts = ["1 mai 2001", "", "2 mai 2001"]
    from_arguments = answered(invoke("predict", run, *texts))
    assert [bool(line) for line in from_arguments.splitlines()] == [True, False, True]
    content = "\ufeff1 mai 2001\r\n\r\n2 mai 2001"
    Path("in.txt").write_bytes(content.encode())
    assert answered(invoke("predict", run, "--input", "in.txt")) == from_arguments
    for arguments in ([], ["-"], ["--input", "-"]):
        assert answered(invoke("predict", run, *arguments, input=content.encode())) == from_arguments
    result = invoke("predict", run, "--input", "in.txt", "--output", "new/out.txt")
    assert answered(result) == ""
    assert Path("new/out.txt").read_text() == from_arguments
    assert [path.name for path in Path("new").iterdir()] == ["out.txt"]


def test_predict_answers_in_order_whatever_the_chunks(
    invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{'ab ' * (number % 5)}{number} mai" for number in range(9)]
    alone = [answered(invoke("predict", run, text)) for text in texts]
    monkeypatch.setattr("seqlens.cli.lines.CHUNK_LINES", 4)
    Path("in.txt").write_text("\n".join(texts))
    assert answered(invoke("predict", run, "--input", "in.txt", "--batch-size", "2")) == "".join(alone)
    assert answered(invoke("predict", run, "-", input="\n".join(texts))) == "".join(alone)


def test_predict_json_holds_input_and_answer(invoke: Invoke, run: Path) -> None:
    lines = answered(invoke("predict", run, "--json", "--set", "num_best=2", "1 mai 2001", "")).splitlines()
    first, second = map(json.loads, lines)
    assert first["input"] == "1 mai 2001"
    assert first["truncated"] is False
    assert len(first["alternatives"]) == 1
    assert first["alignment"]["source_tokens"][-1] == "<end>"
    assert (second["input"], second["text"]) == ("", "")


def test_a_line_break_in_an_answer_stays_one_line(invoke: Invoke, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = "seqlens.data.codecs.characters.CharactersCodec.decode"
    monkeypatch.setattr(decode, lambda self, ids, unknown: "a\nb\r\nc\rd")
    assert answered(invoke("predict", run, "x", "y")) == "a b c d\n" * 2
    assert json.loads(answered(invoke("predict", run, "--json", "x")))["text"] == "a\nb\r\nc\rd"


def test_inputs_cut_at_learned_positions_are_counted(invoke: Invoke) -> None:
    transformer = "{kind: transformer, num_layers: 1, num_heads: 2, positions: learned, max_length: 30}"
    sides = ["--set", f"task.model.encoder={transformer}", "--set", f"task.model.decoder={transformer}"]
    result = invoke("train", "dates/smoke", "--out", "run", "--set", "training.max_steps=1", *sides)
    answered(result)
    assert "pairs longer than 30 tokens are left out of training" in result.stderr
    result = invoke("predict", "run", "--json", "1 mai", "m" * 40)
    assert [json.loads(line)["truncated"] for line in answered(result).splitlines()] == [False, True]
    assert "warning: 1 of 2 inputs is longer than the model's positions reach" in result.stderr
    assert "are cut there" in invoke("evaluate", "run").stderr
    assert "(1)" in answered(invoke("inspect", "run", "attention", "--input", "1"))


@pytest.mark.parametrize(
    ("view", "expected"),
    [("attention", " on "), ("gates", "layer 1 backward update"), ("gradients", "steps      norm")],
)
def test_inspect_prints_a_view_and_writes_a_report(invoke: Invoke, run: Path, view: str, expected: str) -> None:
    result = invoke("inspect", run, view, "--input", "1 mai 2001", "--output", "report.html")
    assert expected in answered(result)
    page = Path("report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert f"{view.capitalize()} of" in page
    assert answered(invoke("inspect", run, view)) != result.stdout  # by default an input from the data


def test_compare_runs_and_recipes(invoke: Invoke, run: Path) -> None:
    settings = ["--set", "training.max_steps=2"]
    Path("lstm.yaml").write_text(list_recipes(smoke=True)[0].path.read_text().replace("cell: gru", "cell: lstm"))
    result = invoke("compare", "dates/smoke", "lstm.yaml", "--out", "trained", *settings, "--output", "table.md")
    table = answered(result)
    rows = [line.split() for line in table.splitlines() if line.strip().startswith(("dates/smoke", "lstm.yaml"))]
    assert [row[0] for row in rows] == ["dates/smoke", "lstm.yaml"]
    assert "p = " in table
    assert "lstm.yaml: step 1/2" in result.stderr
    assert "| lstm.yaml" in Path("table.md").read_text()
    log = Path("trained/lstm/log.jsonl").read_bytes()
    again = invoke("compare", "dates/smoke", "lstm.yaml", "--out", "trained", *settings)
    assert answered(again) == table  # nothing was left to train
    assert Path("trained/lstm/log.jsonl").read_bytes() == log
    changed = invoke("compare", "dates/smoke", "lstm.yaml", "--out", "trained", "--set", "training.max_steps=3")
    assert changed.exit_code == 2
    assert "was trained with another 'training.max_steps'; give another --out" in " ".join(changed.stderr.split())
    Path("elsewhere").mkdir()
    shutil.copy("lstm.yaml", "elsewhere/lstm.yaml")
    same = invoke("compare", "lstm.yaml", "elsewhere/lstm.yaml", "--out", "trained", *settings)
    assert same.exit_code == 2
    assert "lstm.yaml and elsewhere/lstm.yaml would both be trained in a folder 'lstm'" in " ".join(same.stderr.split())
    runs = answered(invoke("compare", run, "trained/lstm", "--output", "report.html"))
    assert [line.split()[0] for line in runs.splitlines() if "[" in line] == [str(run), "trained/lstm"]
    assert "Paired tests against" in Path("report.html").read_text()
    assert f"seqlens compare {run} trained/lstm --split test" in Path("report.html").read_text()


def test_compare_refuses_runs_of_other_data(invoke: Invoke, run: Path) -> None:
    answered(invoke("train", "dates/smoke", "--out", "other", "--set", "data.seed=1", "--set", "training.max_steps=1"))
    result = invoke("compare", run, "other")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "other was evaluated on other pairs (dates, split test, 40)" in result.stderr
    Path("own.tsv").write_text("1 mai 2001\t2001-05-01\n")
    assert "own.tsv, split test" in answered(invoke("compare", run, "other", "--data", "own.tsv"))


def test_the_catalogue_is_listed_with_licence_and_place(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = answered(invoke("data", "list"))
    rows = {line.split()[0]: line for line in listed.splitlines() if line}
    assert {"multi30k", "tatoeba-fra-eng", "dates"} <= rows.keys()
    assert "CC BY 2.0" in rows["tatoeba-fra-eng"]
    assert "   no   " in rows["multi30k"]
    (tmp_path / "mirror/mt/multi30k").mkdir(parents=True)
    (tmp_path / "mirror/mt/multi30k/train.en.gz").touch()
    monkeypatch.setenv("SEQLENS_MIRROR", str(tmp_path / "mirror"))
    num_files = len(read_card("multi30k").files)
    assert f"1 of {num_files} files" in answered(invoke("data", "list"))


def test_fetch_prints_the_folder(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqlens.data.download.fetch", lambda name, announce: Path("here") / name)
    assert answered(invoke("data", "fetch", "multi30k")) == "here/multi30k\n"

    def fail(name: str, announce: Callable[[str], None]) -> Path:
        announce("Downloading x")
        raise WorkError("Could not download x.")

    monkeypatch.setattr("seqlens.data.download.fetch", fail)
    result = invoke("data", "fetch", "multi30k")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Downloading x\nerror: Could not download x.\n")
    assert "generated" in invoke("data", "fetch", "dates").stderr


def test_show_draws_tokens_over_ids_over_mask(invoke: Invoke) -> None:
    Path("own.tsv").write_text("".join(f"a b{number} a\tc d {'c ' * number}\n" for number in range(9)))
    shown = answered(invoke("data", "show", "own.tsv", "--count", "3"))
    blocks = shown.split("\npair ")
    assert len(blocks) == 4
    tokens, ids, mask = (line[12:].split() for line in blocks[1].splitlines()[3:6])
    assert tokens == ["a", "<unk>", "a", "<end>"]
    assert ids[1:] == ["1", ids[0], "3"]
    assert mask == ["1", "1", "1", "1"]
    assert "1 unknown" in blocks[1]
    assert "<pad>" in blocks[1]
    recipe = answered(invoke("data", "show", "own.tsv", "--recipe", "dates/smoke"))
    assert "the codec of the recipe dates/smoke" in recipe
    assert "dates, split validation: a batch of 2" in answered(
        invoke("data", "show", "dates/smoke", "--split", "validation", "--count", "2")
    )


def test_settings_and_languages_of_pairs_are_taken_by_show_and_check(invoke: Invoke) -> None:
    Path("own.tsv").write_text("".join(f"{number}\ta b {number}\tc d {number}\n" for number in range(40)))
    columns = ("--set", "source_column=1", "--set", "target_column=2")
    assert "a b" in answered(invoke("data", "show", "own.tsv", *columns))
    assert "own.tsv: de to target" in answered(invoke("data", "check", "own.tsv", *columns, "--source", "de"))
    wrong = invoke("data", "check", "own.tsv", "--kind", "transduce", "--set", "source_colum=1")
    assert (wrong.exit_code, "Did you mean 'source_column'?" in wrong.stderr) == (2, True)
    Path("corpus").mkdir()
    for split in ("train", "dev"):
        for language in ("de", "en"):
            Path("corpus", f"{split}.{language}").write_text(f"{language} word\n" * 4)
    assert "de word" in answered(invoke("data", "show", "corpus", "--source", "de", "--target", "en"))
    data = "data={kind: pairs, path: corpus, source: de, target: en}"
    told = invoke("train", "translation/smoke", "--out", "run", "--set", data, "--set", "training.max_steps=1").stderr
    assert "There is no test split" in " ".join(told.split())


def test_what_the_page_on_deploying_copies_is_enough_for_answers(invoke: Invoke, run: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text(encoding="utf-8")
    (names,) = re.findall(r"cp -r runs/de-en/\{(.*?)\} deployed/", page)
    Path("deployed").mkdir()
    for name in names.split(","):
        copy = shutil.copytree if (run / name).is_dir() else shutil.copy
        copy(run / name, Path("deployed", name))
    assert answered(invoke("predict", "deployed", "1 May 2001")) == answered(invoke("predict", run, "1 May 2001"))


def test_a_recipe_is_printed_as_a_file_to_start_from(invoke: Invoke) -> None:
    Path("mine.yaml").write_text(answered(invoke("recipes", "translation/smoke")))
    assert invoke("train", "mine.yaml", "--out", "run", "--set", "training.max_steps=1").exit_code == 0
    wrong = invoke("recipes", "translation/smok")
    assert (wrong.exit_code, "Did you mean 'translation/smoke'?" in wrong.stderr) == (2, True)


def test_check_reports_findings_and_fails_for_errors(invoke: Invoke) -> None:
    Path("good.tsv").write_text("".join(f"source {number}\ttarget {number}\n" for number in range(200)))
    found = answered(invoke("data", "check", "good.tsv"))
    assert "good.tsv: source to target" in found
    Path("bad.tsv").write_text("".join(f"source {number}\ttarget {number}\n" for number in range(200)) + "no tab\n")
    result = invoke("data", "check", "bad.tsv")
    assert result.exit_code == 1
    assert "error: bad-record, 1 in" in result.stdout
    assert "bad.tsv line 201" in result.stdout
    result = invoke("data", "check", "bad.tsv", "--json")
    audit = json.loads(result.stdout)
    assert (result.exit_code, audit["severity"]) == (1, "error")
    assert audit["findings"][0]["places"] == [{"file": "bad.tsv", "line": 201}]


def test_demo_is_given_its_options(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    class Done:
        table = Table("Results", ("model", "exact"), [("gru", 0.5)])
        report = Path("x/report.html")

    def run_demo(name: str, **options: object) -> Done:
        asked.update(options, name=name)
        return Done()

    monkeypatch.setattr("seqlens.workflows.demo.run_demo", run_demo)
    result = invoke("demo", "--out", "x", "--seed", "3")
    assert "gru" in answered(result)
    assert "x/report.html" in result.stderr
    assert (asked["name"], asked["out"], asked["seed"]) == ("dates", Path("x"), 3)


def test_unknown_words_that_nothing_teaches_are_told(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("ein hund\ta dog\nein mann\ta man\n" * 4)
    (tmp_path / "validation.tsv").write_text("ein hund\ta dog\nein wolf\ta wolf\n")
    data = "data={kind: pairs, path: ., source: de, target: en}"
    arguments = ("train", "translation/smoke", "--set", data, "--set", "training.max_steps=1")
    told = " ".join(invoke(*arguments, "--out", "run").stderr.split())
    assert "Of the sources' words 25.0% are unknown in the validation split, but none in training" in told
    taught = invoke(*arguments, "--set", "task.codec.source.min_count=5", "--out", "other").stderr
    assert "are unknown in the validation split" not in " ".join(taught.split())
    for codec, parts in (
        ("{kind: characters}", ("Of the sources' characters", "'min_count: 2'")),
        (
            "{kind: subwords, vocab_size: 30, byte_fallback: false}",
            ("Of the sources' subwords", "'byte_fallback: true'"),
        ),
    ):
        result = invoke(*arguments, "--set", f"task.codec.source={codec}", "--out", f"run-{codec[7]}")
        told = " ".join(result.stderr.split())
        assert all(part in told for part in parts), told


def test_scores_on_pairs_that_a_run_was_trained_on_are_doubted(invoke: Invoke, tmp_path: Path) -> None:
    lines = [f"ein hund {number}\ta dog {number}" for number in range(40)]
    (tmp_path / "train.tsv").write_text("\n".join(lines[:30]) + "\n")
    (tmp_path / "validation.tsv").write_text("\n".join(lines[30:]) + "\n")
    data = "data={kind: pairs, path: ., source: de, target: en}"
    answered(invoke("train", "translation/smoke", "--set", data, "--set", "training.max_steps=1", "--out", "run"))
    seen = " ".join(invoke("evaluate", "run", "--data", "train.tsv").stderr.split())
    assert "run was trained on 30 of these 30 pairs, so the scores are too high" in seen
    held_out = " ".join(invoke("evaluate", "run", "--data", "validation.tsv").stderr.split())
    assert "so the scores are too high" not in held_out
