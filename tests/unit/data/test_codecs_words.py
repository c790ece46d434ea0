import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.codecs.parts import split_parts
from seqlens.data.codecs.segmentation import split_words
from seqlens.data.text import UNKNOWN_ID, WordsConfig, fit_codec

QUICK = settings(max_examples=40, deadline=None)
SPACED = st.text(alphabet=st.sampled_from("ab.,'(▁￭ \t\n\u00a0é猫👩\u200d🇫"), max_size=30)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, (big) world!", "Hello ￭, (￭ big ￭) world ￭!"),
        ("don't", "don ￭'￭ t"),
        ("well-known", "well ￭-￭ known"),
        ("a - b", "a - b"),
        ("?!", "? ￭!"),
        ("« oui »", "« oui »"),
        ("a  b", "a ▁￭ b"),
        (" a ", "▁￭ a ￭▁"),
        ("a\tb \n", "a ￭\\t￭ b \\n"),
        ("a\u00a0b", "a ￭\\xa0￭ b"),
        ("我们喜欢 dogs", "我 ￭们 ￭喜 ￭欢 dogs"),
        ("猫が好き。", "猫￭ が ￭好￭ き ￭。"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("👩‍👩‍👧👍🏽🇫🇷🇩🇪!", "👩‍👩‍👧 ￭👍🏽 ￭🇫🇷 ￭🇩🇪 ￭!"),
        ("3.14", "3 ￭.￭ 14"),
        ("<unk>", "<￭ unk ￭>"),
    ],
)
def test_where_text_is_cut(text: str, tokens: str) -> None:
    codec = fit_codec(WordsConfig(), [text])

    assert codec.tokens(text) == tokens.split(" ")
    assert codec.decode(codec.encode(text)) == text


@QUICK
@given(text=st.one_of(SPACED, st.text()))
def test_any_text_without_unknowns_comes_back(text: str) -> None:
    codec = fit_codec(WordsConfig(vocab_size=1000), [text, "a text is needed"])

    ids = codec.encode(text)

    assert UNKNOWN_ID not in ids
    assert codec.decode(ids) == codec.normalise(text)


@QUICK
@given(text=SPACED)
def test_spans_are_the_pieces(text: str) -> None:
    codec = fit_codec(WordsConfig(normalisation="none"), [text, "x"])

    pieces = [text[start:end] for start, end in codec.spans(text)]

    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert [codec.decode([id]) for id in codec.encode(text)] == pieces


@QUICK
@given(text=st.one_of(SPACED, st.text()))
def test_parts_can_be_split_on_their_own(text: str) -> None:
    whole = [(text[piece.start : piece.end], piece.join) for piece in split_words(text)]

    apart = [(part[piece.start : piece.end], piece.join) for part in split_parts(text) for piece in split_words(part)]

    assert apart == whole


def test_spans_point_into_the_text_as_it_was_given() -> None:
    text = "Cafe\u0301 ﬁn, İstanbul"
    codec = fit_codec(WordsConfig(normalisation="nfkc", lowercase=True), [text])

    assert codec.tokens(text) == ["café", "fin", "￭,", "i̇stanbul"]
    assert [text[start:end] for start, end in codec.spans(text)] == ["Cafe\u0301", "ﬁn", ",", "İstanbul"]


def test_a_span_of_half_a_changed_character_is_the_whole() -> None:
    text = "x ½"
    codec = fit_codec(WordsConfig(normalisation="nfkc"), [text])

    assert codec.tokens(text) == ["x", "1", "￭⁄￭", "2"]
    assert codec.spans(text) == [(0, 1), (2, 3), (2, 3), (2, 3)]


def test_frequent_words_come_first_and_equals_by_codepoint() -> None:
    codec = fit_codec(WordsConfig(), ["b a c b é", "c b"])

    assert [codec.token(id) for id in range(4, codec.size)] == ["b", "c", "a", "é"]


def test_rare_words_are_unknown() -> None:
    texts = ["a a a b b c"]

    assert fit_codec(WordsConfig(min_count=2), texts).tokens("a b c d") == ["a", "b", "<unk>", "<unk>"]
    assert fit_codec(WordsConfig(vocab_size=5), texts).tokens("a b c d") == ["a", "<unk>", "<unk>", "<unk>"]


def test_unknown_words_are_shown() -> None:
    codec = fit_codec(WordsConfig(), ["a, b"])

    assert codec.decode(codec.encode("a, c b")) == "a, <unk> b"


def test_lower_case() -> None:
    codec = fit_codec(WordsConfig(lowercase=True), ["The THE the"])

    assert codec.size == 5
    assert codec.decode(codec.encode("tHE ")) == "the <unk>"  # no text ended in a space


def test_a_codec_may_be_extended_by_nothing() -> None:
    codec = fit_codec(WordsConfig(min_count=2), ["a b a b"])
    assert codec.extended(WordsConfig(min_count=2), ["x y z"]).tokens("a x b") == codec.tokens("a x b")
    assert codec.extended(WordsConfig(min_count=2), ["a b c c"]).size == codec.size + 1
