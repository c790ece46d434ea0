"""`seqlens data list|fetch|show|check` for data of tasks that learn from examples."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Invoke


def test_the_list_has_every_kind_and_fetch_says_what_is_generated(invoke: Invoke) -> None:
    result = invoke("data", "list")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.split()}
    for name, task in (("sst", "classify"), ("ncbi-disease", "tag"), ("augustus-fly", "mark"), ("names", "generate")):
        assert task in rows[name]
    result = invoke("data", "fetch", "moods")
    assert result.exit_code == 0
    assert "generated where they are needed" in result.stderr


def test_a_recipe_is_shown_as_its_model_gets_it(invoke: Invoke) -> None:
    result = invoke("data", "show", "sentiment/smoke", "--count", "3")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "moods, split train: a batch of 3"
    assert sum(line.startswith("  answer: ") for line in lines) == 3
    masks = [line.split()[1:] for line in lines if line.strip().startswith("mask")]
    ids = [line.split()[1:] for line in lines if line.strip().startswith("ids")]
    assert all(len(mask) >= len(row) > 0 for mask, row in zip(masks, ids, strict=True))
    assert any("of padding" in line and ", 0 of padding" not in line for line in lines)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("ner/smoke", ("tokens", "ids", "tags", "mask")),
        ("language/smoke", ("read", "ids", "next", "mask")),
        ("dna/smoke", ("bases", "state", "mask")),
    ],
)
def test_every_task_shows_its_own_rows(name: str, rows: tuple[str, ...], invoke: Invoke) -> None:
    result = invoke("data", "show", name, "--count", "2")
    assert result.exit_code == 0, result.output
    starts = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("    ")]
    for row in rows:
        assert row in starts


def test_unknown_words_are_shown_and_counted(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("good good film\tyes\nbad bad film\tno\n", encoding="utf-8")
    (tmp_path / "dev.tsv").write_text("good zebra\tmaybe\n", encoding="utf-8")
    result = invoke("data", "show", ".", "--kind", "classify", "--split", "validation")
    assert result.exit_code == 0, result.output
    assert "2 positions, 1 unknown, 0 of padding" in result.stdout
    assert "<unk>" in result.stdout
    assert "answer: maybe (number none: training has not this label)" in result.stdout
    assert "dev.tsv line 1" in result.stdout


def test_check_finds_what_was_planted_and_takes_settings_of_the_data(invoke: Invoke, tmp_path: Path) -> None:
    rows = [f"{'good' if number % 2 else 'bad'},text {number}" for number in range(40)]
    (tmp_path / "train.csv").write_text("stars,review\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "dev.csv").write_text("stars,review\ngood,one other\nbad,another\n", encoding="utf-8")
    (tmp_path / "test.csv").write_text("stars,review\ngood,text 1\nbad,text 3\n", encoding="utf-8")
    settings = ("--set", "text_column=review", "--set", "label_column=stars")
    result = invoke("data", "check", ".", "--kind", "classify", *settings, "--json")
    assert result.exit_code == 1, result.output
    audit = json.loads(result.stdout)
    leaks = [finding for finding in audit["findings"] if finding["kind"] == "leak"]
    assert leaks[0]["places"][0]["file"].endswith("test.csv")
    assert leaks[0]["places"][0]["line"] == 2
    printed = invoke("data", "check", ".", "--kind", "classify", *settings)
    assert printed.exit_code == 1
    assert "error: leak, 1 in test" in printed.stdout
    assert "warning: leak-other-label, 1 in test" in printed.stdout
    assert "good" in printed.stdout


def test_a_recipe_and_a_broken_file_are_checked(invoke: Invoke, opinions: Path) -> None:
    assert invoke("data", "check", opinions).exit_code in (0, 1)
    table = opinions.with_suffix(".tsv")
    table.write_text(table.read_text(encoding="utf-8") + "no label\n", encoding="utf-8")
    result = invoke("data", "check", opinions)
    assert result.exit_code == 1
    assert "error: unreadable" in result.stdout
    assert "opinions.tsv line 121" in result.stdout
    other = invoke("data", "check", opinions, "--kind", "tag")
    assert other.exit_code == 2
    assert "is for the task 'classify', but --kind is 'tag'" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "mood", "--kind", "classify"), "Did you mean 'moods'?"),
        (("check", ".", "--kind", "clasify"), "Did you mean 'classify'?"),
        (("check", ".", "--kind", "classify", "--set", "text_colum=1"), "Did you mean 'text_column'?"),
        (("show", "moods", "--recipe", "ner/smoke"), "for the task 'tag', but these data are for 'classify'"),
        (("show", "moods", "--split", "dev"), "Did you mean 'validation'?"),
        (("check", "dates/smoke", "--set", "a=1"), "'data.a' is not a setting"),
        (("check", "dates/smoke", "--kind", "classify"), "for the task 'transduce', but --kind is 'classify'"),
        (("check", "moods", "--source", "de"), "--source is 'de', but these data are for the task 'classify'"),
        (("show", "moods", "--target", "en"), "--target is 'en', but these data are for the task 'classify'"),
    ],
)
def test_wrong_requests_are_told(arguments: tuple[str, ...], sentence: str, invoke: Invoke) -> None:
    result = invoke("data", *arguments)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
