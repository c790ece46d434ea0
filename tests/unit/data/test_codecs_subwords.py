import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.codecs import unigram_training
from seqlens.data.codecs.segmentation import MAX_CHUNK_LENGTH, split_chunks
from seqlens.data.codecs.subwords import SubwordsCodec
from seqlens.data.codecs.unigram_training import MAX_PIECE_LENGTH, train_unigram
from seqlens.data.text import UNKNOWN_ID, SubwordsConfig, fit_codec, load_codec

Algorithm = Literal["bpe", "unigram"]
ALGORITHMS: tuple[Algorithm, ...] = ("bpe", "unigram")
TEXTS = tuple(
    f"the {noun} {verb} the {other}, and {number} more {noun}s"
    for noun, verb, other, number in itertools.product(
        ("cat", "dog", "walker"), ("walks", "finds", "talked to"), ("house", "houses", "talker"), (12, 125, 2009)
    )
)

QUICK = settings(max_examples=40, deadline=None)


def fit(algorithm: Algorithm, texts: tuple[str, ...] = TEXTS, **changes: object) -> SubwordsCodec:
    config = SubwordsConfig(algorithm=algorithm, **{"vocab_size": 340, **changes})  # type: ignore[arg-type]
    codec = fit_codec(config, texts)
    assert isinstance(codec, SubwordsCodec)
    return codec


CODECS = {algorithm: fit(algorithm) for algorithm in ALGORITHMS}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@QUICK
@given(text=st.one_of(st.text(), st.text(alphabet="the cat\t\n  ▁<unk>é", max_size=40)))
def test_any_text_comes_back(algorithm: Algorithm, text: str) -> None:
    codec = CODECS[algorithm]

    ids = codec.encode(text)

    assert min(ids, default=4) >= 4
    assert codec.decode(ids) == codec.normalise(text)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "text",
    [
        "<unk>",
        "<pad>",
        "▁",
        "▁the",
        "<0x41>",
        "A<0x41>",
        " the",
        "the ",
        "  the  cat",
        "\n",
        "a\nb\r\n",
        "👩‍👩‍👧",
        "ไทย",
    ],
)
def test_literal_marks_and_spaces_come_back_even_when_learnt(algorithm: Algorithm, text: str) -> None:
    learnt = fit(algorithm, (*TEXTS, *[text] * 50), vocab_size=400)

    for codec in (CODECS[algorithm], learnt):
        ids = codec.encode(text)
        assert codec.decode(ids) == text
        assert min(ids) >= 4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", ["unk", "pad", "end"])
def test_a_piece_may_look_like_a_special_one(algorithm: Algorithm, name: str) -> None:
    codec = fit(algorithm, (*TEXTS, *[f"<{name}>"] * 50, *[f"{name}"] * 50))

    assert name in "".join(codec.tokens(f"<{name}>"))
    assert min(codec.encode(f"<{name}>")) >= 260
    assert codec.decode([*codec.encode(f"<{name}>"), 0, 2, 3]) == f"<{name}>"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_frequent_words_are_one_piece_at_the_start_and_within(algorithm: Algorithm) -> None:
    codec = CODECS[algorithm]

    assert codec.tokens("the cat") == ["▁the", "▁cat"]
    assert codec.tokens("cat, the") == ["▁cat", ",", "▁the"]
    assert codec.tokens("\tcat") == ["▁", "<0x09>", *codec.tokens("xcat")[2:]]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_unseen_characters_are_bytes(algorithm: Algorithm) -> None:
    codec = CODECS[algorithm]

    assert codec.tokens("é")[-2:] == ["<0xC3>", "<0xA9>"]
    assert codec.decode(codec.encode("é")[:-1]) == "\ufffd"  # half a character
    assert codec.spans("é")[-2:] == [(0, 1), (0, 1)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_without_bytes_each_unseen_character_is_unknown(algorithm: Algorithm) -> None:
    codec = fit(algorithm, byte_fallback=False, vocab_size=100)

    assert codec.tokens("the éß cat") == ["▁the", "▁", "<unk>", "<unk>", "▁cat"]
    assert codec.decode(codec.encode("the éß cat")) == "the <unk><unk> cat"
    assert all(codec.decode(codec.encode(text)) == text for text in TEXTS)


def test_without_bytes_a_full_vocabulary_keeps_the_frequent_characters() -> None:
    codec = fit("bpe", ("aaaa bbb cc d",), byte_fallback=False, vocab_size=7)

    assert codec.tokens("abcd") == ["▁", "a", "b", "<unk>", "<unk>"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_vocabulary_is_as_large_as_asked(algorithm: Algorithm) -> None:
    assert [fit(algorithm, vocab_size=size).size for size in (285, 290, 300)] == [285, 290, 300]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@QUICK
@given(texts=st.lists(st.text(max_size=12), max_size=4), byte_fallback=st.booleans(), vocab_size=st.integers(261, 400))
def test_small_texts_give_small_vocabularies(
    algorithm: Algorithm, texts: list[str], byte_fallback: bool, vocab_size: int
) -> None:
    codec = fit(algorithm, (*texts, "x"), vocab_size=vocab_size, byte_fallback=byte_fallback, character_coverage=1.0)

    assert codec.size <= vocab_size
    assert [codec.decode(codec.encode(text)) for text in texts] == [codec.normalise(text) for text in texts]


def test_rare_characters_leave_their_ids_to_pieces() -> None:
    texts = ("ab " * 1000 + "é",)

    assert "é" in [fit("bpe", texts, character_coverage=1.0).token(id) for id in range(260, 266)]
    rare = fit("bpe", texts, character_coverage=0.99)
    assert "é" not in [rare.token(id) for id in range(rare.size)]
    assert rare.decode(rare.encode("é")) == "é"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_spans_cut_the_text(algorithm: Algorithm) -> None:
    codec = CODECS[algorithm]
    text = "the cats  talké to"

    pieces = [text[start:end] for start, end in codec.spans(text)]

    assert pieces[0] == "the"
    assert pieces.count("é") == 2
    assert "".join(text[start:end] for start, end in dict.fromkeys(codec.spans(text))) == text


@QUICK
@given(part=st.one_of(st.text(), st.text(alphabet="ab1. \t\n👩\u200d", max_size=200)))
def test_chunks_are_the_text(part: str) -> None:
    chunks = split_chunks(part)

    assert "".join(chunks) == (" " + part if part else "")
    assert max(map(len, chunks), default=0) <= MAX_CHUNK_LENGTH + 1


@pytest.mark.parametrize(
    ("part", "chunks"),
    [
        ("abc", [" abc"]),
        ("don't 125 x2", [" don", "'", "t", " 125", " x", "2"]),
        ("a  b", [" a", " ", " b"]),
        ("नमस्ते", [" नमस्ते"]),
        ("hm... 👩‍👩‍👧!", [" hm", "...", " 👩‍👩‍👧!"]),
        ("a\n\n b", [" a", "\n\n", " b"]),
    ],
)
def test_where_no_piece_reaches_across(part: str, chunks: list[str]) -> None:
    assert split_chunks(part) == chunks


SCRIPT = """
from test_codecs_subwords import ALGORITHMS, fit
for algorithm in ALGORITHMS:
    print(fit(algorithm).fingerprint, fit(algorithm, byte_fallback=False, vocab_size=90).fingerprint)
"""


def test_every_process_learns_the_same() -> None:
    def run(hash_seed: str, threads: str) -> str:
        paths = os.pathsep.join([os.path.dirname(__file__), *sys.path])
        variables = {"PYTHONHASHSEED": hash_seed, "RAYON_NUM_THREADS": threads, "PYTHONPATH": paths}
        command = [sys.executable, "-c", SCRIPT]
        return subprocess.run(
            command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
        ).stdout

    first = run("1", "1")

    assert first.split()[0] == CODECS["bpe"].fingerprint
    assert first.split()[2] == CODECS["unigram"].fingerprint
    assert run("2", "2") == first


# --- unigram


def cuts(run: str, pieces: set[str]) -> list[tuple[str, ...]]:
    """Every way to cut a run into pieces."""
    ways = [((run[:size],), run[size:]) for size in range(1, len(run) + 1) if run[:size] in pieces]
    return [head + tail for head, rest in ways for tail in (cuts(rest, pieces) if rest else [()])]


@QUICK
@given(
    runs=st.dictionaries(st.text("ab", min_size=1, max_size=7), st.integers(1, 5), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_expected_counts_are_those_over_all_cuts(runs: dict[str, int], seed: int) -> None:
    text = unigram_training._lay_out(runs, "ab")
    candidates = unigram_training._find_candidates(text, 2, 100)
    scores = -3 * np.random.default_rng(seed).random(len(candidates.lengths))
    names = ["a", "b"]
    for place, length in zip(candidates.places[2:].tolist(), candidates.lengths[2:].tolist(), strict=True):
        names.append("".join("ab"[code] for code in text.codes[place : place + length]))
    assert len(set(names)) == len(names)

    lattice = unigram_training._build_lattice(text, candidates, scores)
    counts = unigram_training._expected_counts(text, lattice, scores)

    score_of = dict(zip(names, scores.tolist(), strict=True))
    expected: Counter[str] = Counter()
    for run, count in runs.items():
        ways = cuts(run, set(names))
        weights = [math.exp(sum(score_of[piece] for piece in way)) for way in ways]
        for way, weight in zip(ways, weights, strict=True):
            for piece in way:
                expected[piece] += count * weight / sum(weights)
    assert counts == pytest.approx([expected[name] for name in names], rel=1e-9, abs=1e-12)


@QUICK
@given(runs=st.dictionaries(st.text("ab", min_size=1, max_size=20), st.integers(1, 5), min_size=1, max_size=6))
def test_candidates_are_the_repeated_substrings_that_branch(runs: dict[str, int]) -> None:
    text = unigram_training._lay_out(runs, "ab")
    candidates = unigram_training._find_candidates(text, 2, 10_000)

    counts: Counter[str] = Counter()
    for run, count in runs.items():
        for start, end in itertools.combinations(range(len(run) + 1), 2):
            if end - start <= MAX_PIECE_LENGTH + 1:
                counts[run[start:end]] += count
    wanted = {
        piece
        for piece, count in counts.items()
        if 1 < len(piece) <= MAX_PIECE_LENGTH and count > max(1, counts[piece + "a"], counts[piece + "b"])
    }
    found = set()
    for place, length, gain in list(zip(candidates.places, candidates.lengths, candidates.gains, strict=True))[2:]:
        piece = "".join("ab"[code] for code in text.codes[place : place + length])
        assert gain == counts[piece] * length
        found.add(piece)
    assert found == wanted


def test_what_costs_least_is_pruned() -> None:
    runs = {"abcabc": 50, "abc": 40, "xy": 30, "zx": 2, "a": 5, "b": 5, "c": 5, "x": 5, "y": 5, "z": 5}

    pieces = dict(train_unigram(runs, "abcxyz", 8))

    assert list(pieces)[:6] == list("abcxyz")
    assert set(pieces) - set("abcxyz") == {"abc", "xy"}
    assert pieces["abc"] > pieces["xy"] > pieces["z"]
    assert sum(math.exp(score) for score in pieces.values()) == pytest.approx(1, abs=0.05)


def test_of_too_much_text_the_frequent_part_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram_training, "_MAX_POSITIONS", 10)

    pieces = dict(train_unigram({"abab": 9, "cdcd": 8, "xyxy": 7}, "abcdxy", 20))

    longer = {piece for piece in pieces if len(piece) > 1}
    assert set("".join(longer)) == set("abcd")  # the third run is one too many
    assert list(pieces)[:6] == list("abcdxy")


def test_the_unknown_id_is_never_a_piece() -> None:
    for codec in CODECS.values():
        assert UNKNOWN_ID not in codec.encode("".join(map(chr, range(1, 300))))


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_numbers_are_cut_after_max_digits(algorithm: Literal["bpe", "unigram"], tmp_path: Path) -> None:
    config = SubwordsConfig(algorithm=algorithm, vocab_size=600, max_digits=2)
    codec = fit_codec(config, ["im Jahr 2009", "im Jahr 1987", "seit 2009 und 1987"] * 5)
    assert [piece.strip("▁") for piece in codec.tokens("2009 1987")] == ["20", "09", "19", "87"]
    codec.save(tmp_path)
    again = load_codec(tmp_path)
    assert again.encode("12345 ٢٠٠٩") == codec.encode("12345 ٢٠٠٩")
    assert again.decode(again.encode("12345 ٢٠٠٩")) == "12345 ٢٠٠٩"
