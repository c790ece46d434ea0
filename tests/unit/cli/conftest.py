"""A trained run, and the command line in this process."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from seqlens.cli.main import build_app
from seqlens.data.moods import MoodsData, generate_moods
from seqlens.workflows.recipes import find_recipe
from seqlens.workflows.train import train

Invoke = Callable[..., Result]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the smoke recipe; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQLENS_CACHE", str(folder / "cache"))
        patch.delenv("SEQLENS_MIRROR", raising=False)
        train("dates/smoke", out=folder / "run", overrides={"training.max_steps": 4})
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run of its own for a test."""
    return Path(shutil.copytree(trained, tmp_path / "runs/smoke"))


@pytest.fixture
def invoke(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Calls `seqlens` with these arguments, in an empty folder."""
    monkeypatch.setenv("SEQLENS_CACHE", str(trained.parent / "cache"))
    monkeypatch.delenv("SEQLENS_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(build_app(), [str(argument) for argument in arguments], input=input)

    return call


@pytest.fixture
def opinions(tmp_path: Path) -> Path:
    """A recipe file, and beside it the table of 120 labelled texts that it names."""
    texts = generate_moods(MoodsData(num_train=120), "train")
    table = "".join(f"{one.text}\t{one.label}\n" for one in texts)
    (tmp_path / "opinions.tsv").write_text(table, encoding="utf-8")
    smoke = find_recipe("sentiment/smoke").path.read_text(encoding="utf-8")
    found = re.sub(r"data: \{.*\}", "data: {kind: labelled, path: opinions.tsv}", smoke)
    (tmp_path / "opinions.yaml").write_text(found.replace("max_steps: 30", "max_steps: 4"), encoding="utf-8")
    return tmp_path / "opinions.yaml"
