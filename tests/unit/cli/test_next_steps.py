"""What `train` prints as next commands is what can be done with the run, whatever its task and its data."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Invoke = Callable[..., Result]


def check_next_commands(invoke: Invoke, *training: str | Path) -> str:
    """Trains, does what is said to come next, and returns that."""
    result = invoke("train", *training, "--out", "run", "--set", "training.max_steps=2")
    assert result.exit_code == 0, result.output
    told = result.stderr.partition("What next:")[2]
    commands = re.findall(r"^ +seqlens (.*)$", told, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        done = invoke(*shlex.split(command))
        assert done.exit_code == 0, f"{command}\n{done.output}"
    return told


@pytest.mark.parametrize("recipe", ["dates/smoke", "sentiment/smoke", "ner/smoke", "dna/smoke", "language/smoke"])
def test_recipes(invoke: Invoke, recipe: str) -> None:
    assert "--split" not in check_next_commands(invoke, recipe)


def test_data_without_a_test_split_whose_texts_begin_with_a_dash(invoke: Invoke, opinions: Path) -> None:
    rows = opinions.with_name("opinions.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    folder = opinions.with_name("split")
    folder.mkdir()
    (folder / "train.tsv").write_text("".join(rows[:100]), encoding="utf-8")
    (folder / "dev.tsv").write_text("".join(f"--{row}" for row in rows[100:]), encoding="utf-8")
    told = check_next_commands(invoke, opinions, "--set", f"data.path={folder}")
    assert "seqlens evaluate run --split validation" in told
    assert "seqlens predict run -- '--" in told
