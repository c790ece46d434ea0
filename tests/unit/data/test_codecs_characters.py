from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.text import UNKNOWN_ID, CharactersConfig, fit_codec

QUICK = settings(max_examples=40, deadline=None)


@QUICK
@given(text=st.text())
def test_seen_characters_come_back(text: str) -> None:
    codec = fit_codec(CharactersConfig(), [text, "a text is needed"])

    ids = codec.encode(text)

    assert UNKNOWN_ID not in ids
    assert len(ids) == len(codec.normalise(text))
    assert codec.decode(ids) == codec.normalise(text)


def test_each_unseen_character_is_one_unknown() -> None:
    codec = fit_codec(CharactersConfig(), ["abc"])

    assert codec.encode("axyb") == [4, UNKNOWN_ID, UNKNOWN_ID, 5]
    assert codec.decode(codec.encode("axyb")) == "a<unk><unk>b"


def test_frequent_characters_come_first_and_equals_by_codepoint() -> None:
    codec = fit_codec(CharactersConfig(), ["cab", "b é", "b"])

    assert [codec.token(id) for id in range(4, codec.size)] == ["b", "▁", "a", "c", "é"]


def test_rare_characters_are_unknown() -> None:
    assert fit_codec(CharactersConfig(min_count=2), ["aab"]).tokens("ab") == ["a", "<unk>"]


def test_letters_and_accents_are_joined_unless_told_otherwise() -> None:
    text = "e\u0301"

    assert fit_codec(CharactersConfig(), [text]).tokens(text) == ["é"]
    assert len(fit_codec(CharactersConfig(normalisation="none"), [text]).encode(text)) == 2


def test_spans_point_into_the_text_as_it_was_given() -> None:
    text = "e\u0301xﬁ"
    codec = fit_codec(CharactersConfig(normalisation="nfkc"), [text])

    assert codec.tokens(text) == ["é", "x", "f", "i"]
    assert codec.spans(text) == [(0, 2), (2, 3), (3, 4), (3, 4)]


def test_control_characters_can_be_seen() -> None:
    codec = fit_codec(CharactersConfig(), ["a\t\n\x00\x85"])

    assert codec.tokens("a\t\n\x00\x85") == ["a", "\\t", "\\n", "\\x00", "\\x85"]
