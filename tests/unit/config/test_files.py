"""Files are whole or absent, and every failure is one sentence."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.config.files import read_json, sha256_of, write_atomically, write_json
from seqlens.errors import WorkError


def test_writes_text_and_bytes_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "file.txt"
    write_atomically(path, "zażółć\r\n")
    assert path.read_bytes() == "zażółć\r\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text("old")

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(WorkError, match=r"scores\.json could not be written: No space left on device\."):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.json"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkError, match=r"inner\.txt could not be written: "):
        write_atomically(tmp_path / "file" / "inner.txt", "x")
    with pytest.raises(WorkError, match="could not be written: Is a directory"):
        write_atomically(tmp_path, "x")
    with pytest.raises(WorkError, match=r"'\\ud800' at character 1 has no UTF-8 form"):
        write_atomically(tmp_path / "text", "a\ud800")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_sha256(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "data"
    path.write_bytes(data)
    assert sha256_of(path) == hashlib.sha256(data).hexdigest()


def test_sha256_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="gone could not be read: No such file"):
        sha256_of(tmp_path / "gone")


def test_json_is_sorted_indented_and_unescaped(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 2.5, None], "a": "日本"})
    expected = '{\n  "a": "日本",\n  "b": [\n    1,\n    2.5,\n    null\n  ]\n}\n'
    assert path.read_text(encoding="utf-8") == expected
    assert read_json(path) == {"b": [1, 2.5, None], "a": "日本"}


def test_json_without_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(WorkError, match=r"a\.json was not written: "):
        write_json(path, {"loss": float("nan")})
    assert not path.exists()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{"a": 1,\n"b" 2}', r"a\.json line 2: this is not valid JSON: Expecting ':' delimiter\."),
        (b"", r"a\.json line 1: this is not valid JSON: Expecting value\."),
        (b'{"a": "\xff"}', r"a\.json is not UTF-8 text: byte 7 is 0xff\."),
        (b"[NaN]", r"a\.json is not valid JSON: it holds NaN, which JSON does not know\."),
        (b"[" * 100_000, r"a\.json is not valid JSON: "),
        (json.dumps("x").encode("utf-16"), r"a\.json is not UTF-8 text: byte 0 is 0xff\."),
    ],
)
def test_damaged_json_is_told_in_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(WorkError, match=sentence):
        read_json(path)


def test_missing_json(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"a\.json could not be read: No such file or directory\."):
        read_json(tmp_path / "a.json")
