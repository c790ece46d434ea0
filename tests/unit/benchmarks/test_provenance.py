"""The commit beside a number is that of the code, and says where the code was changed."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.provenance import git_commit, provenance


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "benchmarks" / "quality").mkdir(parents=True)
    (folder / "code.py").write_text("1", encoding="utf-8")
    git(folder.parent, "init", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_a_clean_and_a_changed_tree(repository: Path) -> None:
    clean = git_commit(repository)
    assert len(clean) == 12
    (repository / "code.py").write_text("2", encoding="utf-8")
    assert git_commit(repository) == f"{clean}-dirty"


def test_a_new_file_is_a_change_but_rows_are_not(repository: Path) -> None:
    clean = git_commit(repository)
    (repository / "benchmarks" / "quality" / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    assert git_commit(repository) == clean
    (repository / "benchmarks" / "quality" / "plan.py").write_text("", encoding="utf-8")
    assert git_commit(repository) == f"{clean}-dirty"


def test_no_repository_and_a_folder_inside_another_one(repository: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    assert git_commit(outside) == "unknown"
    assert git_commit(repository / "benchmarks") == "unknown"


def test_a_given_commit_is_kept() -> None:
    origin = provenance("abc")
    assert origin["commit"] == "abc"
    assert origin["machine"]["cores"] >= 1
    assert set(origin) == {"seqlens", "commit", "machine", "time"}
