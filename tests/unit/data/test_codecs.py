"""What holds for every text codec."""

import copy
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.codecs.storage import FILE_NAME, fingerprint_of
from seqlens.data.text import (
    END_ID,
    PADDING_ID,
    SPECIAL_NAMES,
    START_ID,
    UNKNOWN_ID,
    CharactersConfig,
    SubwordsConfig,
    TextCodec,
    TextCodecConfig,
    WordsConfig,
    fit_codec,
    load_codec,
)
from seqlens.errors import RequestError, WorkError

TEXTS = (
    "The cat sat on the mat; the dog didn't.",
    "the cats  and the dogs (two each) sat down\ttogether.",
    "« L'homme », dit-elle, n'est pas là… pas là !",
    "Donaudampfschifffahrt ist schön, schöner als 3.14 oder 2,71!",
    "2009년 6월 25일은 목요일이다.",
    "我们喜欢猫，猫也喜欢我们。",
    "नमस्ते दुनिया, नमस्ते",
    "👩‍👩‍👧 and 🇫🇷 like ▁ and ￭ and <unk> and <0x0A>",
    "",
)

QUICK = settings(max_examples=40, deadline=None)
CONFIGS: dict[str, TextCodecConfig] = {
    "words": WordsConfig(),
    "words, few and lower-case": WordsConfig(vocab_size=20, min_count=2, lowercase=True),
    "characters": CharactersConfig(),
    "characters, nfkc": CharactersConfig(min_count=2, normalisation="nfkc"),
    "bpe": SubwordsConfig(vocab_size=420),
    "bpe, lower-case": SubwordsConfig(vocab_size=420, normalisation="nfkc", lowercase=True),
    "bpe without bytes": SubwordsConfig(vocab_size=160, byte_fallback=False, normalisation="none"),
    "bpe, joiners": SubwordsConfig(vocab_size=420, joiners=True),
    "unigram": SubwordsConfig(algorithm="unigram", vocab_size=420),
    "unigram without bytes, joiners": SubwordsConfig(
        algorithm="unigram", vocab_size=160, byte_fallback=False, joiners=True
    ),
    "unigram without bytes": SubwordsConfig(algorithm="unigram", vocab_size=160, byte_fallback=False),
}
# Text as people and programs write it: pieces that a codec could take for its own, between any characters.
HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from([*SPECIAL_NAMES, "▁", "￭", "<0x41>", " ", "  ", "\t", "\n", "\r\n", "\u2028", "\x00"]),
        st.sampled_from(["the cat", "L'homme", "猫也", "e\u0301", "İ", "ﬁ", "각", "\u200d", "👍🏽", "\ufeff"]),
    ),
    max_size=8,
).map("".join)


@cache
def fitted(name: str) -> TextCodec:
    return fit_codec(CONFIGS[name], TEXTS)


@pytest.fixture(params=CONFIGS, name="codec", scope="module")
def _codec(request: pytest.FixtureRequest) -> TextCodec:
    return fitted(request.param)


def test_every_codec_keeps_the_protocol(codec: TextCodec) -> None:
    assert isinstance(codec, TextCodec)
    assert [codec.token(id) for id in (PADDING_ID, UNKNOWN_ID, START_ID, END_ID)] == list(SPECIAL_NAMES)
    assert all(codec.token(id) for id in range(codec.size))


@QUICK
@given(text=HOSTILE)
def test_text_never_gives_a_special_id(codec: TextCodec, text: str) -> None:
    ids = codec.encode(text)

    assert all(id == UNKNOWN_ID or len(SPECIAL_NAMES) <= id < codec.size for id in ids)
    assert codec.tokens(text) == [codec.token(id) for id in ids]


@QUICK
@given(text=HOSTILE)
def test_known_text_comes_back(codec: TextCodec, text: str) -> None:
    ids = codec.encode(text)

    if UNKNOWN_ID not in ids:
        assert codec.decode(ids) == codec.normalise(text)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["words", "characters", "bpe", "unigram", "unigram without bytes"])
def test_text_it_was_fitted_on_comes_back(name: str, text: str) -> None:
    codec = fitted(name)

    assert codec.decode(codec.encode(text)) == codec.normalise(text)


@QUICK
@given(ids=st.lists(st.integers(-3, 450), max_size=30))
def test_any_ids_have_a_text(codec: TextCodec, ids: list[int]) -> None:
    text = codec.decode(ids)

    text.encode()  # no half characters
    assert text.count("<unk>") >= sum(id == UNKNOWN_ID or not 0 <= id < codec.size for id in ids)
    silent = (PADDING_ID, START_ID, END_ID)
    assert codec.decode([id for id in ids if id not in silent]) == text


@QUICK
@given(text=HOSTILE)
def test_spans_lie_in_the_text_in_order(codec: TextCodec, text: str) -> None:
    spans = codec.spans(text)

    assert len(spans) == len(codec.encode(text))
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
    if text:
        covered = {index for start, end in spans for index in range(start, end)}
        missed = {text[index] for index in set(range(len(text))) - covered}
        assert missed <= {" "}  # only spaces that the words codec implies


def test_an_empty_text_has_no_ids(codec: TextCodec) -> None:
    assert codec.encode("") == []
    assert codec.spans("") == []
    assert codec.decode([]) == ""


@pytest.mark.parametrize("unit", ["the cat sat on the mat. ", "a", "e\u0301 "], ids=["words", "a word", "accents"])
def test_long_texts(codec: TextCodec, unit: str) -> None:
    text = unit * (100_000 // len(unit))

    ids = codec.encode(text)

    assert UNKNOWN_ID in ids or codec.decode(ids) == codec.normalise(text)


def test_a_batch_is_its_texts(codec: TextCodec) -> None:
    assert codec.encode_batch(iter(TEXTS)) == [codec.encode(text) for text in TEXTS]


def test_texts_before_make_no_difference(codec: TextCodec) -> None:
    fresh = copy.deepcopy(codec)
    for text in TEXTS:
        codec.encode(text)

    assert [fresh.encode(text) for text in reversed(TEXTS)] == [codec.encode(text) for text in reversed(TEXTS)]


@pytest.mark.parametrize("id", [-1, 10_000])
def test_an_id_outside_the_vocabulary_has_no_token(codec: TextCodec, id: int) -> None:
    with pytest.raises(IndexError, match=f"no id {id}"):
        codec.token(id)


def test_a_lone_surrogate_is_replaced(codec: TextCodec) -> None:
    assert codec.normalise("a\ud800b") == "a\ufffdb"
    assert codec.encode("a\ud800b") == codec.encode("a\ufffdb")


def test_a_codec_can_go_to_another_process(codec: TextCodec) -> None:
    other = pickle.loads(pickle.dumps(codec))

    assert other.encode_batch(TEXTS) == codec.encode_batch(TEXTS)
    assert other.fingerprint == codec.fingerprint


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_codec_comes_back(name: str, tmp_path: Path) -> None:
    codec = fitted(name)
    codec.save(tmp_path / "new" / "codec")

    loaded = load_codec(tmp_path / "new" / "codec")

    assert type(loaded) is type(codec)
    assert loaded.fingerprint == codec.fingerprint
    assert loaded.encode_batch(TEXTS) == codec.encode_batch(TEXTS)
    assert loaded.normalise("ﬁ É e\u0301") == codec.normalise("ﬁ É e\u0301")
    ids = range(codec.size)
    assert [loaded.token(id) for id in ids] == [codec.token(id) for id in ids]
    assert [loaded.decode([id]) for id in ids] == [codec.decode([id]) for id in ids]
    loaded.save(tmp_path / "again")
    again = (tmp_path / "again" / FILE_NAME).read_bytes()
    assert again == (tmp_path / "new" / "codec" / FILE_NAME).read_bytes()
    assert [path.name for path in (tmp_path / "again").iterdir()] == [FILE_NAME]


def test_texts_in_another_order_give_the_same_codec() -> None:
    for name, config in CONFIGS.items():
        assert fit_codec(config, reversed(TEXTS)).fingerprint == fitted(name).fingerprint


def test_different_codecs_have_different_fingerprints() -> None:
    changed = [fit_codec(WordsConfig(), ["one text"]), fit_codec(WordsConfig(normalisation="none"), TEXTS)]
    prints = [fitted(name).fingerprint for name in CONFIGS] + [codec.fingerprint for codec in changed]

    assert len(set(prints)) == len(prints)
    assert all(len(bytes.fromhex(fingerprint)) == 32 for fingerprint in prints)


def test_texts_are_read_once_and_one_at_a_time() -> None:
    for config in CONFIGS.values():
        codec = fit_codec(config, _once(list(TEXTS)))
        assert codec.fingerprint == fit_codec(config, TEXTS).fingerprint


def _once(texts: list[str]) -> Iterator[str]:
    while texts:
        yield texts.pop()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("texts", [[], ["", ""]], ids=["no texts", "empty texts"])
def test_nothing_to_fit_on(config: TextCodecConfig, texts: list[str]) -> None:
    with pytest.raises(RequestError, match="has nothing to be fitted on"):
        fit_codec(config, texts)


def test_one_text_is_not_taken_for_many() -> None:
    with pytest.raises(TypeError, match="one text"):
        fit_codec(WordsConfig(), "abc")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (WordsConfig(vocab_size=4), "words codec's 'vocab_size' is 4, expected at least 5"),
        (WordsConfig(min_count=0), "words codec's 'min_count' is 0, expected 1 or more"),
        (WordsConfig(min_count=99), "'min_count' is 99, .* the highest count is"),
        (CharactersConfig(min_count=0), "characters codec's 'min_count' is 0"),
        (CharactersConfig(min_count=999), "'min_count' is 999"),
        (SubwordsConfig(vocab_size=260), "'vocab_size' is 260, expected at least 261"),
        (SubwordsConfig(vocab_size=4, byte_fallback=False), "'vocab_size' is 4, expected at least 5"),
        (SubwordsConfig(character_coverage=0.0), "'character_coverage' is 0.0"),
        (SubwordsConfig(character_coverage=99.95), "'character_coverage' is 99.95"),
    ],
)
def test_settings_out_of_their_range(config: TextCodecConfig, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        fit_codec(config, TEXTS)


def test_the_smallest_vocabularies() -> None:
    assert fit_codec(WordsConfig(vocab_size=5), TEXTS).size == 5
    for algorithm in ("bpe", "unigram"):
        bytes_only = fit_codec(SubwordsConfig(algorithm=algorithm, vocab_size=261), TEXTS)
        assert bytes_only.size == 261
        assert all(bytes_only.decode(bytes_only.encode(text)) == text for text in TEXTS)
        assert fit_codec(SubwordsConfig(algorithm=algorithm, vocab_size=5, byte_fallback=False), TEXTS).size == 5


# --- damaged folders


def saved(name: str, folder: Path) -> dict[str, Any]:
    fitted(name).save(folder)
    content: dict[str, Any] = json.loads((folder / FILE_NAME).read_text("utf-8"))
    return content


def refuse(folder: Path, sentence: str) -> None:
    with pytest.raises(WorkError, match=sentence) as caught:
        load_codec(folder)
    assert FILE_NAME in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    refuse(tmp_path, "could not be read")


def test_half_a_file(tmp_path: Path) -> None:
    saved("words", tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:500])

    refuse(tmp_path, "not valid JSON")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"words"'])
def test_another_file(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)

    refuse(tmp_path, "is no codec")


@pytest.mark.parametrize("number", [2, "1", None, True])
def test_another_format(tmp_path: Path, number: object) -> None:
    content = saved("words", tmp_path)
    (tmp_path / FILE_NAME).write_text(json.dumps({**content, "format": number}))

    refuse(tmp_path, f"'format' is {number!r}, but this version of seqlens reads format 1")


@pytest.mark.parametrize("name", CONFIGS)
def test_an_edited_file(name: str, tmp_path: Path) -> None:
    content = saved(name, tmp_path)
    (tmp_path / FILE_NAME).write_text(json.dumps({**content, "lowercase": not content["lowercase"]}))

    refuse(tmp_path, "does not match its 'fingerprint'")


@pytest.mark.parametrize(
    ("name", "key", "value", "sentence"),
    [
        (
            "words",
            "kind",
            "phonemes",
            "'kind' is 'phonemes', expected 'words', 'characters', 'subwords' or 'nucleotides'",
        ),
        ("words", "kind", None, "'kind' is missing, expected text"),
        ("words", "normalisation", "nfd", "'normalisation' is 'nfd', expected 'nfc'"),
        ("words", "lowercase", 1, "'lowercase' is a whole number, expected true or false"),
        ("words", "entries", "the", "'entries' is text, expected a list"),
        ("words", "entries", ["the", 3], "'entries' entry 1 is 3, expected a word"),
        ("words", "entries", ["the", ["!", "top"]], "entry 1 is .*'top'.*, expected a word"),
        ("words", "entries", ["the", ""], "'entries' entry 1 is ''"),
        ("words", "entries", ["the", "a", "the"], "'entries' holds .*the.* twice"),
        ("characters", "characters", ["a", "bc"], "'characters' entry 1 is 'bc', expected one character"),
        ("characters", "characters", ["a", "b", "a"], "'characters' holds 'a' twice"),
        ("characters", "characters", [["a"]], "entry 0 is .*, expected one character"),
        ("bpe", "byte_fallback", None, "'byte_fallback' is missing"),
        ("bpe", "algorithm", "wordpiece", "'algorithm' is 'wordpiece', expected 'bpe' or 'unigram'"),
        ("bpe", "alphabet", ["a", "a"], "'alphabet' holds 'a' twice"),
        ("bpe", "merges", [["q", "zz"]], "'merges' entry 0 is .*, expected two pieces that are known by then"),
        ("bpe", "merges", [["t", "h"], ["t", "h"]], "'merges' holds .* twice"),
        ("unigram", "scores", [["a", "b"]], "'scores' entry 0 is .*, expected a piece and a number"),
        ("unigram", "scores", [["a", -1.0], ["a", -2.0]], "'scores' holds 'a' twice"),
        ("unigram", "scores", [["a", -1.0], ["ab", -2.0]], "'scores' holds 'ab', but not all of its characters"),
        ("unigram", "scores", [], "'scores' is empty"),
        ("words", "entries", [], "'entries' is empty"),
    ],
)
def test_wrong_content(tmp_path: Path, name: str, key: str, value: object, sentence: str) -> None:
    content = {**saved(name, tmp_path), key: value}
    del content["format"], content["fingerprint"]
    fingerprint = fingerprint_of(content)
    (tmp_path / FILE_NAME).write_text(json.dumps({**content, "format": 1, "fingerprint": fingerprint}))

    refuse(tmp_path, sentence)


def test_half_a_character(tmp_path: Path) -> None:
    content = {**saved("words", tmp_path), "entries": ["a\ud800"]}
    (tmp_path / FILE_NAME).write_text(json.dumps(content))

    refuse(tmp_path, r"'\\ud800', which is no character")


def test_configs_can_be_changed_only_by_copying() -> None:
    for config in CONFIGS.values():
        assert replace(config, lowercase=True) == replace(config, lowercase=True)
        with pytest.raises(AttributeError):
            config.lowercase = True  # type: ignore[misc]
