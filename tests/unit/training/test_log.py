import json
import math
import os
from pathlib import Path

import pytest

from seqlens.errors import WorkError
from seqlens.training.log import JsonLines


def unwarned(text: str) -> None:
    pytest.fail(text)


def test_lines_are_appended_and_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = JsonLines(path, length=0, warn=unwarned)
    log.append({"step": 1, "name": "시"})
    length = log.settle()
    log.append({"step": 2})
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [
        {"step": 1, "name": "시"},
        {"step": 2},
    ]
    log.close()

    resumed = JsonLines(path, length=length, warn=unwarned)
    resumed.append({"step": 3, "loss": math.nan, "validation": {"bleu": -math.inf, "loss": 0.1}})
    resumed.close()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines[1:] == [{"step": 3, "loss": None, "validation": {"bleu": None, "loss": 0.1}}]

    JsonLines(path, length=0, warn=unwarned).close()
    assert path.read_bytes() == b""


def test_lost_lines_are_told_and_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("{}\n")
    said: list[str] = []
    JsonLines(path, length=50, warn=said.append).close()
    assert path.read_text() == "{}\n"
    assert "has 3 bytes, expected 50" in said[0]


def test_a_line_the_system_takes_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    log = JsonLines(tmp_path / "log.jsonl", length=0, warn=unwarned)
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data)[:3]))
    log.append({"step": 1})
    monkeypatch.undo()
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n'
    log.close()


def test_what_cannot_be_opened_or_written_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkError, match=r"could not be opened: Is a directory"):
        JsonLines(tmp_path, length=0, warn=unwarned)

    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    log = JsonLines(tmp_path / "log.jsonl", length=0, warn=unwarned)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(WorkError, match=r"log\.jsonl could not be written: No space left on device\."):
        log.append({"step": 1})
    log.close()
