"""A trained run, and the command line in this process."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from seqlens.cli.main import build_app
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
