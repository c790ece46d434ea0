"""`seqlens evaluate --analyse` and `seqlens compare --by`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Invoke = Callable[..., Result]


def test_evaluate_analyse_prints_tables_and_writes_json_and_a_page(invoke: Invoke, run: Path) -> None:
    result = invoke("evaluate", run, "--analyse")
    assert result.exit_code == 0, result.output
    for title in ("Score by source length", "Score by the rarest word", "Score by unknown words", "Errors"):
        assert f"\n{title}" in result.stdout
    for word in ("omitted", "repeated", "copied", "hallucinated", "too short", "search errors"):
        assert word in result.stdout
    assert f"The analysis is in {run}/evaluation/test/analysis.html." in result.stderr
    assert json.loads((run / "evaluation/test/analysis.json").read_text())["num_sentences"] == 40
    assert (run / "evaluation/test/analysis.html").read_text().startswith("<!DOCTYPE html>")
    plain = invoke("evaluate", run).stdout
    assert result.stdout.startswith(plain)


def test_compare_by_prints_a_table_and_writes_a_picture(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "same")
    invoke("evaluate", run, "--analyse")
    result = invoke("compare", run, "same", "--by", "length", "--output", "picture.svg")
    assert result.exit_code == 0, result.output
    assert "\nScore by source length\n" in result.stdout
    assert "p (randomisation)" in result.stdout
    assert Path("picture.svg").read_text().startswith("<svg xmlns")
    assert (run / "evaluation/test/analysis.html").is_file()  # of the same answers, so it stays
    assert "The picture is in picture.svg." in result.stderr


def test_wrong_requests_get_a_sentence_before_any_work(invoke: Invoke, run: Path) -> None:
    result = invoke("compare", run, "same", "--by", "lenght")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected one of length, rarest, unknown, clauses. Did you mean 'length'?" in result.stderr
    result = invoke("compare", run, "same", "--output", "report.pdf")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected a name that ends in .html, .md or .svg" in result.stderr
    result = invoke("compare", run, "same", "--output", "picture.svg")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--by length" in result.stderr
