"""Lines in and lines out."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.cli.lines import output_to, stdin_chunks, typed_chunks
from seqlens.errors import RequestError, WorkError


class Pipe(io.RawIOBase):
    """Gives some bytes at a time, as a slow writer does."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content = content
        self._sizes = sizes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        size = min(self._sizes.pop(0) if self._sizes else len(buffer), len(buffer))
        part, self._content = self._content[:size], self._content[size:]
        buffer[: len(part)] = part
        return len(part)


def read(content: bytes, sizes: list[int]) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe(content, list(sizes)))))
        return [line for chunk in stdin_chunks() for line in chunk]


texts = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=9), max_size=9)


@given(texts, st.text("ab", max_size=3), st.lists(st.integers(1, 5), max_size=30), st.sampled_from(["\n", "\r\n"]))
def test_stdin_gives_the_same_lines_however_they_come(
    lines: list[str], unfinished: str, sizes: list[int], newline: str
) -> None:
    content = "\ufeff" + "".join(line + newline for line in lines) + unfinished
    assert read(content.encode(), sizes) == lines + [unfinished] * bool(unfinished)


@given(st.integers(0, 40), st.lists(st.integers(1, 5), max_size=30))
def test_the_line_with_bad_bytes_is_named(before: int, sizes: list[int]) -> None:
    with pytest.raises(RequestError, match=rf"stdin line {before + 1} is not UTF-8: byte 0xff at byte 3 of the line"):
        read("é\n".encode() * before + b"ab\xff\n", sizes)


def test_typed_lines_end_with_the_end_of_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["one", "", "two"])

    def answer(prompt: str = "") -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    assert list(typed_chunks()) == [["one"], [""], ["two"]]
    captured = capsys.readouterr()
    assert captured.out == ""  # a prompt among the results would spoil them
    assert captured.err.startswith("> ")


def write(path: Path, work: Callable[[], None] = lambda: None) -> None:
    with output_to(path) as file:
        file.write("first\n")
        work()
        file.write("second\n")


def test_a_file_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "new/out.txt"

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, fail)
    assert list(path.parent.iterdir()) == []
    write(path)
    with pytest.raises(KeyboardInterrupt):
        write(path, fail)
    assert path.read_bytes() == b"first\nsecond\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["out.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").touch()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write(tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "first\nsecond\n"


def test_a_folder_as_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"could not be written: Is a directory"):
        write(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_a_device_is_written_to_and_not_replaced() -> None:
    with pytest.raises(WorkError, match=r"/dev/full could not be written: No space left on device"):
        write(Path("/dev/full"))
    assert Path("/dev/full").is_char_device()
