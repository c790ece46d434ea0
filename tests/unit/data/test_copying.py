"""Unknown words have numbers of their own in a source, the same in its target, and come back as they were."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.copying import MAX_UNKNOWN, number_source, number_target
from seqlens.data.encoded import cache_key, encode_pairs
from seqlens.data.examples import Pair
from seqlens.data.text import (
    UNKNOWN_ID,
    CharactersConfig,
    MarkedText,
    SubwordsConfig,
    TextCodec,
    TextCodecConfig,
    UnknownPiece,
    WordsConfig,
    fit_codec,
)

CONFIGS: dict[str, TextCodecConfig] = {
    "words": WordsConfig(lowercase=True),
    "characters": CharactersConfig(),
    "subwords": SubwordsConfig(vocab_size=40, byte_fallback=False),
    "subwords with bytes": SubwordsConfig(vocab_size=300),
    "subwords, joiners": SubwordsConfig(vocab_size=40, byte_fallback=False, joiners=True),
}
TEXTS = ["the red cat", "a cat, the (old) dog!", "猫 the"]
ANY = st.text(alphabet=st.sampled_from("the cad.,(￭▁ XŸé猫犬👩\t\n"), max_size=30)


def fitted(name: str) -> TextCodec:
    return fit_codec(CONFIGS[name], TEXTS)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=60)
@given(text=ANY)
def test_any_source_comes_back_with_its_unknown_words(name: str, text: str) -> None:
    codec = fitted(name)
    plain = codec.encode(text)
    ids, unknown = number_source(codec, text, plain)
    assert codec.decode(ids, unknown) == codec.normalise(text)
    assert [UNKNOWN_ID if id >= codec.size else id for id in ids] == plain
    assert len(codec.unknown_pieces(text)) == plain.count(UNKNOWN_ID)
    assert sorted({id for id in ids if id >= codec.size}) == list(range(codec.size, codec.size + len(unknown)))
    assert [codec.token(id, unknown) for id in ids if id < codec.size] == [
        codec.token(id) for id in plain if id != UNKNOWN_ID
    ]


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=40)
@given(source=ANY, target=ANY)
def test_a_target_knows_the_words_of_its_source_only(name: str, source: str, target: str) -> None:
    codec = fitted(name)
    _, unknown = number_source(codec, source, codec.encode(source))
    plain = codec.encode(target)
    ids = number_target(codec, target, plain, unknown)
    pieces = iter(codec.unknown_pieces(target))
    for id, before in zip(ids, plain, strict=True):
        if before != UNKNOWN_ID:
            assert id == before
            continue
        piece = next(pieces)
        assert (unknown[id - codec.size] == piece) if id != UNKNOWN_ID else (piece not in unknown)


def test_a_word_is_known_by_what_stands_in_the_vocabulary() -> None:
    codec = fitted("words")
    ids, unknown = number_source(codec, "The Zebra saw the zebra.", codec.encode("The Zebra saw the zebra."))
    assert [piece.text for piece in unknown] == ["zebra", "saw", "."]
    assert ids[1] == ids[4] == codec.size
    target = number_target(codec, "zebra xerus", codec.encode("zebra xerus"), unknown)
    assert target == [codec.size, UNKNOWN_ID]
    assert codec.decode([*target, ids[-1]], unknown) == "zebra <unk>."
    assert codec.decode([codec.size]) == "<unk>"
    assert codec.token(codec.size, unknown) == "zebra"
    with pytest.raises(IndexError):
        codec.token(codec.size + 3, unknown)


def test_context_comes_before_the_text() -> None:
    codec = fit_codec(WordsConfig(), [MarkedText("a", tag="x", context=("b",))])
    text = MarkedText("q a", tag="x", context=("p", "a q"))
    ids, unknown = number_source(codec, text, codec.encode(text))
    assert unknown == (UnknownPiece("p"), UnknownPiece("q"))
    assert [id - codec.size for id in ids if id >= codec.size] == [0, 1, 1]


def test_there_is_a_limit() -> None:
    codec = fitted("words")
    text = " ".join(f"w{number}" for number in range(MAX_UNKNOWN + 5))
    ids, unknown = number_source(codec, text, codec.encode(text))
    assert len(unknown) == MAX_UNKNOWN
    assert ids[-5:] == [UNKNOWN_ID] * 5


def test_the_cache_keeps_numbered_pairs_under_a_name_of_their_own(tmp_path: Path) -> None:
    codec = fitted("words")
    pairs = [Pair("the zebra", "zebra dog"), Pair("xerus cat", "zebra xerus")]
    key, plain = cache_key("data", "a", "a", copying=True), cache_key("data", "a", "a")
    assert key != plain
    encoded = encode_pairs(pairs, codec, codec, folder=tmp_path, key=key, copying=True)
    size = codec.size
    assert encoded.source(0).tolist()[1] == size
    assert encoded.target(0).tolist()[0] == size
    assert encoded.target(1).tolist()[:2] == [UNKNOWN_ID, size]
    assert encode_pairs(pairs, codec, codec, folder=tmp_path, key=plain).source(0).tolist()[1] == UNKNOWN_ID
