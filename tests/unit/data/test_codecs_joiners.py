"""Joiners of the subwords codec: a word has one form after a space and after a symbol."""

from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.codecs.chunking import JOINER, Chunking
from seqlens.data.codecs.subwords import SubwordsCodec
from seqlens.data.text import SubwordsConfig, UnknownPiece, fit_codec, load_codec
from seqlens.errors import RequestError

Algorithm = Literal["bpe", "unigram"]
ALGORITHMS: tuple[Algorithm, ...] = ("bpe", "unigram")
TEXTS = ("l'homme et un homme", "d'herbe, l'herbe (une herbe)", "arrière-plan d'un plan", '"une école" à 3.5 km') * 3
QUICK = settings(max_examples=60, deadline=None)
# Symbols, modifiers, joiners as text, digits, letters with and without a piece, white space of all kinds.
TEXT = st.one_of(st.text(), st.text(alphabet=f"l'homme-(.3 \t\n{JOINER}☃\ufe0f👩\u200dé字", max_size=40))


def fit(algorithm: Algorithm, **changes: object) -> SubwordsCodec:
    codec = fit_codec(SubwordsConfig(algorithm=algorithm, **{"vocab_size": 360, "joiners": True, **changes}), TEXTS)  # type: ignore[arg-type]
    assert isinstance(codec, SubwordsCodec)
    return codec


CODECS = {
    (algorithm, fallback): fit(algorithm, byte_fallback=fallback)
    for algorithm in ALGORITHMS
    for fallback in (True, False)
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@QUICK
@given(text=TEXT)
def test_any_text_comes_back(algorithm: Algorithm, text: str) -> None:
    codec = CODECS[algorithm, True]

    ids = codec.encode(text)

    assert min(ids, default=4) >= 4
    assert codec.decode(ids) == codec.normalise(text)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@QUICK
@given(text=TEXT)
def test_unknown_characters_come_back_where_they_are_copied(algorithm: Algorithm, text: str) -> None:
    codec = CODECS[algorithm, False]
    unknown = codec.unknown_pieces(text)
    numbers = iter(range(codec.size, codec.size + len(unknown)))

    copied = [next(numbers) if id == 1 else id for id in codec.encode(text)]

    assert codec.decode(copied, unknown) == codec.normalise(text)


@pytest.mark.parametrize("fallback", [True, False])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@QUICK
@given(text=TEXT)
def test_spans_cover_the_text_in_order(algorithm: Algorithm, fallback: bool, text: str) -> None:
    codec = CODECS[algorithm, fallback]
    text = codec.normalise(text)

    spans = codec.spans(text)

    assert len(spans) == len(codec.encode(text))
    place = 0
    for start, end in dict.fromkeys(spans):
        assert start in (end, place)
        place = max(place, end)
    assert place == len(text)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("joined", "apart", "word"),
    [
        ("l'homme", "un homme", "homme"),
        ("(herbe", "une herbe", "herbe"),
        ("arrière-plan", "un plan", "plan"),
        ('"école', "une école", "école"),
        ("0.5", "3 5", "5"),
        ("l'œuf", "un œuf", "œuf"),
    ],
)
def test_a_word_has_one_form(algorithm: Algorithm, joined: str, apart: str, word: str) -> None:
    codec = CODECS[algorithm, True]
    form = codec.encode(word)

    assert codec.encode(joined)[-len(form) :] == form == codec.encode(apart)[-len(form) :]
    assert codec.encode(joined.replace(word, " " + word)) != codec.encode(joined)


def test_pieces_and_spans_of_a_joined_word() -> None:
    codec = CODECS["bpe", True]

    assert Chunking(joiners=True).chunks("l'homme") == [" l", "'" + JOINER, " homme"]
    assert codec.tokens("l'homme, un homme") == ["▁l", "'" + JOINER, "▁homme", ",", "▁un", "▁homme"]
    assert codec.spans("l'homme") == [(0, 1), (1, 2), (2, 7)]


@pytest.mark.parametrize(
    ("part", "chunks"),
    [
        ("", []),
        ("don't", [" don", "'" + JOINER, " t"]),
        ("b2b", [" b", "2", "b"]),  # only symbols bear joiners
        ("hm...", [" hm", "..."]),
        ("☺\ufe0fx", [" ☺\ufe0f" + JOINER, " x"]),
        (f"'{JOINER}x", [" '", JOINER, "x"]),  # the character itself joins nothing
        (JOINER, [" ", JOINER]),
    ],
)
def test_where_joiners_stand(part: str, chunks: list[str]) -> None:
    assert Chunking(joiners=True).chunks(part) == chunks


def test_a_joiner_that_the_text_holds_is_no_joiner() -> None:
    plain = CODECS["bpe", False]

    assert 1 in plain.encode(f"l{JOINER}homme")
    assert plain.unknown_pieces(f"l{JOINER}homme") == [UnknownPiece(JOINER)]
    codec = CODECS["bpe", True]
    assert codec.decode(codec.encode(f"l'{JOINER} homme")) == f"l'{JOINER} homme"


@QUICK
@given(ids=st.lists(st.integers(-1, 370), max_size=20))
def test_any_ids_have_a_text(ids: list[int]) -> None:
    for codec in CODECS.values():
        assert isinstance(codec.decode(ids), str)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saved_and_extended_ones_have_joiners(algorithm: Algorithm, tmp_path: Path) -> None:
    codec = fit(algorithm)
    codec.save(tmp_path)

    again = load_codec(tmp_path)
    wider = codec.extended(SubwordsConfig(algorithm=algorithm, joiners=True, character_coverage=1.0), ["l'ж"])

    assert again.fingerprint == codec.fingerprint
    assert again.encode("l'homme") == codec.encode("l'homme")
    assert wider.tokens("l'homme") == codec.tokens("l'homme")
    assert again.decode(codec.encode("l'homme")) == "l'homme"
    assert wider.decode(wider.encode("l'ж d'ж")) == "l'ж d'ж"
    assert codec.fingerprint != fit(algorithm, joiners=False).fingerprint


def test_the_cuts_of_bpe_dropout_are_of_the_same_text() -> None:
    codec = CODECS["bpe", True]
    dropout = codec.dropout(0.5)
    assert dropout is not None
    draw = Random(1).random
    cuts = set()
    for _ in range(50):
        cut = dropout.cut(np.array(codec.encode("l'homme d'herbe, l'arrière-plan")), draw)
        assert codec.decode(cut) == "l'homme d'herbe, l'arrière-plan"
        cuts.add(tuple(cut))
    assert len(cuts) > 5


def test_there_must_be_room_for_the_joiner() -> None:
    with pytest.raises(RequestError, match="expected at least 262"):
        fit("bpe", vocab_size=261)
    assert fit("bpe", vocab_size=262).size == 262


def test_a_combining_mark_stays_with_its_symbol() -> None:
    codec = CODECS["bpe", True]
    assert codec.spans("(\u0301x")[0] == (0, 1)
    assert [end for _, end in codec.spans("a (\u0301b")] == sorted(end for _, end in codec.spans("a (\u0301b"))
