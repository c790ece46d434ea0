import gzip
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.data.examples import Pair, Place
from seqlens.data.readers import ReadFault, read_jsonl, read_lines, read_paired_text, read_tsv
from seqlens.errors import RequestError

# Everything that some tool takes for the end of a line, save the two that are one here.
ODD_LINE_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

lines_of_text = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff"), max_size=20),
    min_size=1,
    max_size=8,
)


def sentence(run: Callable[[], Iterator[object]]) -> str:
    """Returns the sentence of the RequestError that reading everything ends in."""
    with pytest.raises(RequestError) as error:
        list(run())
    return str(error.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("zipped", [False, True])
@given(lines=lines_of_text)
def test_lines_come_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], zipped: bool, end: str
) -> None:
    path = tmp_path_factory.mktemp("lines") / "text.de"
    content = "".join(line + end for line in lines).encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert list(read_lines(path)) == list(enumerate(lines, 1))


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "text.en"
    text = ODD_LINE_ENDS.join("abcdefghi")
    path.write_text(f"{text}\nsecond\rhalf\n", encoding="utf-8", newline="")
    assert [line for _, line in read_lines(path)] == [text, "second\rhalf"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbfone\n", ["one"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfone", ["\ufeffone"]),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbf\n", [""]),
        (b"", []),
        (b"\n\n", ["", ""]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\n\xef\xbb\xbftwo\n", ["one", "\ufefftwo"]),
    ],
)
def test_byte_order_marks_and_last_lines(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    path = tmp_path / "text.en"
    path.write_bytes(content)
    assert [line for _, line in read_lines(path)] == expected


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "text.tsv"
    path.write_bytes(b"one\tun\n" * 10 + b"no tab\n")
    pairs = read_tsv(path)
    assert next(pairs) == Pair("one", "un", Place(str(path), 1))
    assert sum(1 for _ in (next(pairs) for _ in range(9))) == 9
    assert "line 11 has no tab" in sentence(lambda: pairs)


def test_broken_utf8_is_named_by_file_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "text.de"
    path.write_bytes("gut\nschön ".encode() + "Bär\n".encode("latin-1"))
    told = sentence(lambda: read_lines(path))
    # "schön " has 7 bytes, "B" is the eighth, so the bad byte is the ninth.
    assert f"{path} line 2 is not UTF-8: byte 0xe4 at byte 9 of the line, after 'schön B'" in told


def test_utf16_is_called_utf16(tmp_path: Path) -> None:
    path = tmp_path / "text.de"
    path.write_bytes("gut\nbesser\n".encode("utf-16"))
    assert "is UTF-16, expected UTF-8" in sentence(lambda: read_lines(path))


def test_a_cut_gzip_file_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "text.de.gz"
    whole = gzip.compress("".join(f"Satz {number}\n" for number in range(5000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    assert f"{path} ends too early after line " in sentence(lambda: read_lines(path))
    path.write_bytes(whole[:-8] + b"\0" * 8)
    assert f"{path} is damaged after line 5,000" in sentence(lambda: read_lines(path))


def test_missing_files_and_folders_get_a_sentence(tmp_path: Path) -> None:
    assert sentence(lambda: read_lines(tmp_path / "none")) == f"Cannot read {tmp_path / 'none'}: there is no such file."
    assert "it is a folder" in sentence(lambda: read_lines(tmp_path))


def test_pairs_of_two_files(tmp_path: Path) -> None:
    source, target = tmp_path / "train.de.gz", tmp_path / "train.en"
    source.write_bytes(gzip.compress(b"Hund\r\nKatze\r\n"))
    target.write_bytes(b"dog\ncat")
    assert list(read_paired_text(source, target)) == [
        Pair("Hund", "dog", Place(str(source), 1)),
        Pair("Katze", "cat", Place(str(source), 2)),
    ]


@pytest.mark.parametrize(("num_sources", "num_targets"), [(3, 5), (5, 3), (1, 2000)])
def test_files_of_unequal_length_are_both_counted(tmp_path: Path, num_sources: int, num_targets: int) -> None:
    source, target = tmp_path / "train.de", tmp_path / "train.en"
    source.write_text("Hund\n" * num_sources)
    target.write_text("dog\n" * num_targets)
    pairs = read_paired_text(source, target)
    shared = min(num_sources, num_targets)
    assert len([next(pairs) for _ in range(shared)]) == shared
    told = sentence(lambda: pairs)
    assert f"{source} has {num_sources:,} lines but {target} has {num_targets:,}" in told


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    source, target = tmp_path / "train.de", tmp_path / "train.en"
    source.write_text("Hund\n")
    target.write_text("")
    assert f"{target} is empty" in sentence(lambda: read_paired_text(source, target))
    assert f"{target} is empty" in sentence(lambda: read_tsv(target))
    assert f"{target} is empty" in sentence(lambda: read_jsonl(target))


def test_tsv_columns_and_zip_members(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pairs.txt", "1\tdog\tHund\n2\tcat\tKatze\n")
    pairs = list(read_tsv(path, source_column=2, target_column=1, member="pairs.txt"))
    assert pairs[1] == Pair("Katze", "cat", Place(f"{path}/pairs.txt", 2))
    assert "has no 'fra.txt' in it, it holds pairs.txt" in sentence(lambda: read_tsv(path, member="fra.txt"))


def test_a_tsv_line_with_too_few_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("dog\tHund\t1\ncat\tKatze\n")
    assert f"{path} line 2 has 2 columns, expected 3" in sentence(lambda: read_tsv(path, target_column=2))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"source": "dog", "targt": "Hund"}',
            "has no key 'target', its keys are 'source', 'targt'. Did you mean 'targt'?",
        ),
        ('{"source": "dog"', "is not JSON (Expecting ',' delimiter at column 17)"),
        ('["dog", "Hund"]', "is not a JSON object"),
        ('{"source": "dog", "target": 3}', "has '3' at the key 'target', expected text"),
        ('{"source": "\\ud83d", "target": "Hund"}', "has half of a surrogate pair"),
        ("", "is blank"),
        ("9" * 5000, "is not JSON"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_jsonl_line_is_named(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"source": "cat", "target": "Katze"}}\n{line}\n')
    told = sentence(lambda: read_jsonl(path))
    assert told.startswith(f"{path} line 2 {expected}")


def test_jsonl_keys(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"de": "Hund", "en": "dog\\n\\ud83d\\udc15", "more": 1}\n')
    assert list(read_jsonl(path, source_key="de", target_key="en")) == [Pair("Hund", "dog\n🐕", Place(str(path), 1))]


def test_with_a_handler_reading_goes_on_past_every_fault(tmp_path: Path) -> None:
    source, target = tmp_path / "train.de", tmp_path / "train.en"
    source.write_bytes(b"B\xe4r\nHund\nK\xfche\n")
    target.write_bytes(b"bear\ndog\n")
    faults: list[ReadFault] = []
    pairs = list(read_paired_text(source, target, on_fault=faults.append))
    assert [(pair.source, pair.target) for pair in pairs] == [("B\ufffdr", "bear"), ("Hund", "dog")]
    assert [(fault.kind, str(fault.place)) for fault in faults] == [
        ("invalid-utf8", f"{source} line 1"),
        ("unequal-lengths", f"{source} line 3"),
    ]
    table = tmp_path / "pairs.tsv"
    table.write_text("dog\tHund\nlost\ncat\tKatze\n")
    faults.clear()
    assert [pair.source for pair in read_tsv(table, on_fault=faults.append)] == ["dog", "cat"]
    assert [(fault.kind, fault.place.line) for fault in faults] == [("bad-record", 2)]
