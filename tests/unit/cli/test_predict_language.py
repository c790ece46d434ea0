"""`seqlens predict` of a language model: continuations, settings, log-probabilities."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from seqlens.workflows.train import train

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def names_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of names after four steps."""
    folder = tmp_path_factory.mktemp("language") / "run"
    train("language/smoke", out=folder, overrides={"training.max_steps": 4})
    return folder


def answered(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_text_gives_its_continuations_on_a_line(invoke: Invoke, names_run: Path) -> None:
    arguments = ("--set", "num_samples=3", "--set", "max_tokens=4", "--set", "top_k=9")
    lines = answered(invoke("predict", names_run, *arguments, "Ka", "Ro")).splitlines()
    assert [[text[:2] for text in line.split("\t")] for line in lines] == [["Ka"] * 3, ["Ro"] * 3]
    again = answered(invoke("predict", names_run, *arguments, "Ro")).splitlines()
    assert again == lines[1:], "what is drawn for a text depends on nothing beside it"
    assert answered(invoke("predict", names_run, *arguments, "--set", "seed=1", "Ro")).splitlines() != again


def test_json_has_the_log_probability_of_every_token(invoke: Invoke, names_run: Path) -> None:
    record = json.loads(answered(invoke("predict", names_run, "--json", "--set", "num_samples=0", "Kala")))
    assert record["input"] == record["text"] == "Kala"
    assert record["tokens"] == ["K", "a", "l", "a"]
    assert sum(record["token_log_probs"]) == pytest.approx(record["log_prob"])
    assert record["end_log_prob"] < 0
    assert record["samples"] == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [("temprature=0.5", "temperature"), ("top_p=2", "top_p"), ("num_samples=lots", "num_samples")],
)
def test_a_wrong_setting_is_a_wrong_request(invoke: Invoke, names_run: Path, setting: str, message: str) -> None:
    result = invoke("predict", names_run, "--set", setting, "Ka")
    assert result.exit_code == 2
    assert message in result.output


def test_evaluate_shows_the_n_grams_below_the_model(invoke: Invoke, names_run: Path) -> None:
    table = answered(invoke("evaluate", names_run))
    assert "bits per character" in table
    assert re.search(r"against Kneser-Ney .*: bits per character \+[\d.]+ \[.*\], p = 0\.\d+", table)
