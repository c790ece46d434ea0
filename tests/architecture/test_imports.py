"""The rules of the house that a machine can hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "seqlens").rglob("*.py"))
LONGEST_FILE = 330


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_seqlens_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pydantic", "tokenizers", "sacrebleu", "rich", "typer")
    loaded = run(f"import sys, seqlens; print([name for name in {heavy!r} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_importing_the_layers_loads_neither_data_nor_command_line() -> None:
    code = "import sys, seqlens.layers, seqlens.testing; print([m for m in sys.modules if m.startswith('seqlens.')])"
    loaded = run(code)
    assert "seqlens.layers" in loaded
    for package in ("data", "tasks", "training", "cli", "workflows", "decoding"):
        assert f"'seqlens.{package}" not in loaded


def test_the_public_names_are_there() -> None:
    names = "train, evaluate, load"
    assert run(f"from seqlens import {names}; print('there')").strip() == "there"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_FILE


FORBIDDEN_LAYERS = ("RNN", "LSTM", "GRU", "Transformer", "MultiheadAttention")


def names_of_calls(source: str) -> set[str]:
    """The last names of what the code calls: `GRU` of `torch.nn.GRU(2, 3)`, whatever comments and docstrings say."""
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    attributes = [function for function in functions if isinstance(function, ast.Attribute)]
    return {
        node.attr
        for node in attributes
        if isinstance(node.value, ast.Name | ast.Attribute) and _last(node.value) == "nn"
    }


def _last(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def test_calls_are_told_from_words_about_them() -> None:
    assert names_of_calls("torch.nn.GRU(2, 3)\nnn.LSTM(2, 3)") == {"GRU", "LSTM"}
    assert names_of_calls('"""As `nn.GRU(2, 3)`."""  # nn.LSTM(2, 3)\nGRU(2, 3)') == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_no_model_is_made_of_torchs_own_recurrent_or_transformer_layers(path: Path) -> None:
    assert not names_of_calls(path.read_text(encoding="utf-8")) & set(FORBIDDEN_LAYERS)
