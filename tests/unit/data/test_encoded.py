import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data import encoded as encoded_module
from seqlens.data.batch import pad
from seqlens.data.encoded import EncodedPairs, cache_key, encode_pairs
from seqlens.data.examples import Pair, Place
from seqlens.data.sampler import within_length
from seqlens.data.text import END_ID, TextCodec
from seqlens.errors import RequestError, WorkError

KEY = "0123abcd"


class LetterCodec:
    """A codec for tests: one id a character, from the character's number."""

    def __init__(self, size: int = 300) -> None:
        self.size = size
        self.fingerprint = f"letters-{size}"

    def encode(self, text: str) -> list[int]:
        return [4 + ord(character) for character in text]

    def normalise(self, text: str) -> str:
        return text

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [(index, index + 1) for index in range(len(text))]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(token - 4) for token in ids if token >= 4)

    def token(self, id: int) -> str:
        return self.decode([id])

    def tokens(self, text: str) -> list[str]:
        return list(text)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


PAIRS = [Pair("ab", "c"), Pair("", "defg"), Pair("h", ""), Pair("ijklm", "no")]


def encode(folder: Path, pairs: Sequence[Pair] = PAIRS, codec: TextCodec | None = None) -> EncodedPairs:
    codec = codec or LetterCodec()
    return encode_pairs(pairs, codec, codec, folder=folder, key=KEY)


def expected_ids(text: str) -> list[int]:
    return [*LetterCodec().encode(text), END_ID]


def untouchable() -> Iterator[Pair]:
    pytest.fail("the pairs were read")
    yield Pair("", "")


def assert_holds(corpus: EncodedPairs, pairs: Sequence[Pair]) -> None:
    assert len(corpus) == len(pairs)
    for index, pair in enumerate(pairs):
        assert corpus.source(index).tolist() == expected_ids(pair.source)
        assert corpus.target(index).tolist() == expected_ids(pair.target or "")
    assert corpus.lengths.tolist() == [[len(pair.source) + 1, len(pair.target or "") + 1] for pair in pairs]


def test_rows_are_the_codecs_ids_and_the_end(tmp_path: Path) -> None:
    corpus = encode(tmp_path)

    assert corpus.note is None
    assert corpus.has_targets
    assert_holds(corpus, PAIRS)


@settings(max_examples=25, deadline=None)  # each example writes files
@given(pairs=st.lists(st.tuples(st.text("abc", max_size=5), st.text("xyz", max_size=5)), max_size=9))
def test_chunks_leave_no_seam(pairs: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoded_module, "_CHUNK_SIZE", 3)
        expected = [Pair(source, target) for source, target in pairs]

        assert_holds(encode(tmp_path_factory.mktemp("cache"), expected), expected)


def test_a_complete_cache_is_opened_without_reading_the_pairs(tmp_path: Path) -> None:
    encode(tmp_path)

    reused = encode_pairs(untouchable(), LetterCodec(), LetterCodec(), folder=tmp_path, key=KEY)

    assert reused.note is None
    assert_holds(reused, PAIRS)


def test_pairs_are_read_as_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_module, "_CHUNK_SIZE", 10)
    read, told = 0, []

    def stream() -> Iterator[Pair]:
        nonlocal read
        for _ in range(25):
            read += 1
            yield Pair("a", "b")

    def progress(done: int) -> None:
        assert read == done  # nothing read ahead of what is encoded
        told.append(done)

    encode_pairs(stream(), LetterCodec(), LetterCodec(), folder=tmp_path, key=KEY, progress=progress)

    assert told == [10, 20, 25]


@pytest.mark.parametrize(("size", "bytes_per_token"), [(2**16, 2), (2**16 + 1, 4)])
def test_ids_take_two_bytes_where_they_fit(tmp_path: Path, size: int, bytes_per_token: int) -> None:
    last = chr(size - 1 - 4)  # its id is the largest of the vocabulary
    corpus = encode(tmp_path, [Pair(last, last)], LetterCodec(size))

    assert corpus.source(0).tolist() == [size - 1, END_ID]
    assert (tmp_path / KEY / "source.tokens").stat().st_size == 2 * bytes_per_token


def test_an_id_outside_the_vocabulary_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ids from 3 to 101, but its size is 50"):
        encode(tmp_path, [Pair("a", "a")], LetterCodec(50))

    assert list(tmp_path.iterdir()) == []


@settings(max_examples=25, deadline=None)  # each example writes files
@given(
    pairs=st.lists(st.tuples(st.text("abc", max_size=5), st.text("xyz", max_size=5)), min_size=1, max_size=9),
    data=st.data(),
)
def test_a_batch_is_its_rows_padded(
    pairs: list[tuple[str, str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    corpus = encode(tmp_path_factory.mktemp("cache"), [Pair(source, target) for source, target in pairs])
    indices = data.draw(st.lists(st.integers(0, len(pairs) - 1), max_size=6))

    batch = corpus.batch(np.array(indices, dtype=np.int64))

    assert batch.indices == tuple(indices)
    for found, side in ((batch.source, 0), (batch.target, 1)):
        assert found is not None
        expected = pad([expected_ids(pairs[index][side]) for index in indices])
        assert found.ids.tolist() == expected.ids.tolist()
        assert found.lengths.tolist() == expected.lengths.tolist()


def test_a_subset_numbers_its_pairs_from_zero_and_knows_where_they_were(tmp_path: Path) -> None:
    part = encode(tmp_path).subset([3, 0, 1]).subset([0, 2])

    assert_holds(part, [PAIRS[3], PAIRS[1]])
    assert part.rows.tolist() == [3, 1]
    batch = part.batch([1])
    assert batch.indices == (1,)
    assert batch.source.ids.tolist() == [expected_ids(PAIRS[1].source)]


@pytest.mark.parametrize("with_codec", [True, False])
def test_pairs_without_targets_have_sources_only(tmp_path: Path, with_codec: bool) -> None:
    target_codec = LetterCodec() if with_codec else None
    pairs = [Pair("ab"), Pair("c")]
    for _ in range(2):  # made, then opened
        corpus = encode_pairs(pairs, LetterCodec(), target_codec, folder=tmp_path, key=KEY)

        assert not corpus.has_targets
        assert corpus.lengths.tolist() == [[3, 0], [2, 0]]
        assert corpus.batch([1, 0]).target is None
        with pytest.raises(ValueError, match="no targets"):
            corpus.target(0)


def test_targets_without_a_codec_are_left_out(tmp_path: Path) -> None:
    assert not encode_pairs(PAIRS, LetterCodec(), None, folder=tmp_path, key=KEY).has_targets


def test_no_pairs_make_an_empty_corpus(tmp_path: Path) -> None:
    for _ in range(2):
        corpus = encode(tmp_path, [])

        assert len(corpus) == 0
        assert corpus.lengths.shape == (0, 2)
        assert corpus.batch([]).source.ids.shape == (0, 0)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([Pair("a", "b"), Pair("c", None, Place("x.tsv", 2))], "x.tsv line 2: this pair has no target"),
        ([Pair("a"), Pair("c", "d")], "Pair 2: this pair has a target"),
    ],
)
def test_targets_on_some_pairs_only_are_refused(tmp_path: Path, pairs: list[Pair], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        encode(tmp_path, pairs)

    assert list(tmp_path.iterdir()) == []


def damage_size(place: Path, name: str) -> None:
    with open(place / name, "ab") as file:
        file.write(b"\0")


def damage_field(place: Path, field: str, value: object) -> None:
    header = json.loads((place / "header.json").read_text())
    (place / "header.json").write_text(json.dumps({**header, field: value}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda place: (place / "header.json").unlink(), "header.json"),
        (lambda place: (place / "header.json").write_text("{"), "header.json"),
        (lambda place: (place / "header.json").write_text("[]"), "header.json"),
        (lambda place: damage_field(place, "num_pairs", 3), "header.json is not as it was written"),
        (lambda place: damage_field(place, "format", 99), "header.json is not as it was written"),
        (lambda place: damage_size(place, "source.tokens"), "source.tokens has 25 bytes, expected 24"),
        (lambda place: (place / "target.offsets").unlink(), "target.offsets could not be read"),
        (lambda place: os.truncate(place / "target.offsets", 8), "target.offsets has 8 bytes, expected 40"),
        (lambda place: (place / "source.offsets").write_bytes(bytes(40)), "source.offsets is not as it was"),
    ],
)
def test_a_damaged_cache_is_made_again_and_that_is_said(tmp_path: Path, damage: object, said: str) -> None:
    encode(tmp_path)
    damage(tmp_path / KEY)  # type: ignore[operator]

    corpus = encode(tmp_path)

    assert corpus.note is not None
    assert "was damaged and has been made again" in corpus.note
    assert said in corpus.note
    assert_holds(corpus, PAIRS)
    assert [path.name for path in tmp_path.iterdir()] == [KEY]
    assert encode_pairs(untouchable(), LetterCodec(), LetterCodec(), folder=tmp_path, key=KEY).note is None


def test_a_reader_that_fails_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_module, "_CHUNK_SIZE", 2)

    def stream() -> Iterator[Pair]:
        yield from PAIRS
        raise RequestError("line 5 is broken")

    with pytest.raises(RequestError, match="line 5 is broken"):
        encode_pairs(stream(), LetterCodec(), LetterCodec(), folder=tmp_path, key=KEY)

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(descriptor: int) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoded_module.os, "fsync", no_space)

    with pytest.raises(WorkError, match=r"source\.tokens could not be written: No space left on device"):
        encode(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")

    with pytest.raises(WorkError, match="could not be written"):
        encode(tmp_path / "cache")


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    for name, age in ((f".{KEY}-old.partial", 2 * 86_400), (f".{KEY}-new.partial", 60)):
        path = tmp_path / name / "source.tokens"
        path.parent.mkdir()
        path.write_bytes(b"\0\0")
        for stale in (path, path.parent):
            os.utime(stale, (stale.stat().st_mtime - age,) * 2)

    encode(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{KEY}-new.partial", KEY]


def test_another_writers_folder_may_vanish_while_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "glob", lambda folder, _pattern: [folder / f".{KEY}-gone.partial"])

    assert_holds(encode(tmp_path), PAIRS)


@pytest.mark.parametrize("damaged_before", [False, True])
def test_writers_at_once_all_end_with_a_valid_cache(tmp_path: Path, damaged_before: bool) -> None:
    if damaged_before:
        encode(tmp_path)
        damage_size(tmp_path / KEY, "source.tokens")
    barrier = threading.Barrier(3, timeout=60)

    def encode_with_the_others(_: int) -> EncodedPairs:
        def stream() -> Iterator[Pair]:
            barrier.wait()  # all have found no valid cache, none has written one
            yield from PAIRS

        return encode_pairs(stream(), LetterCodec(), LetterCodec(), folder=tmp_path, key=KEY)

    with ThreadPoolExecutor(3) as pool:
        for corpus in pool.map(encode_with_the_others, range(3)):
            assert_holds(corpus, PAIRS)
    assert [path.name for path in tmp_path.iterdir()] == [KEY]
    assert_holds(encode_pairs(untouchable(), LetterCodec(), LetterCodec(), folder=tmp_path, key=KEY), PAIRS)


@pytest.mark.parametrize("damaged_after", [False, True])
def test_another_writer_may_finish_in_between(tmp_path: Path, damaged_after: bool) -> None:
    first: list[EncodedPairs] = []

    def stream() -> Iterator[Pair]:
        first.append(encode(tmp_path))
        if damaged_after:
            damage_size(tmp_path / KEY, "target.tokens")
        yield from PAIRS

    assert_holds(encode_pairs(stream(), LetterCodec(), LetterCodec(), folder=tmp_path, key=KEY), PAIRS)
    assert_holds(first[0], PAIRS)
    assert [path.name for path in tmp_path.iterdir()] == [KEY]


def test_long_pairs_are_left_out_and_counted() -> None:
    lengths = np.array([[3, 3], [4, 3], [3, 5], [1, 1]], dtype=np.int32)

    kept, num_left_out = within_length(lengths, 3)

    assert kept.tolist() == [0, 3]
    assert num_left_out == 2
    assert within_length(lengths, None).num_left_out == 0
    assert within_length(lengths[:0], 3).indices.tolist() == []


def test_the_key_depends_on_every_part_and_on_which_is_which() -> None:
    keys = {
        cache_key("corpus", "a", "b"),
        cache_key("corpus", "b", "a"),
        cache_key("other", "a", "b"),
        cache_key("corpus", "a", None),
        cache_key("corpusa", "", "b"),
    }

    assert len(keys) == 5
    assert cache_key("corpus", "a", "b") in keys
    assert all(len(key) == 32 and key.isalnum() for key in keys)
