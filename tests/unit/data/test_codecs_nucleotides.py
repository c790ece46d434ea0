"""Sequences of nucleotides to ids and back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.data.codecs.nucleotides import NucleotidesCodec, NucleotidesConfig
from seqlens.data.text import TextCodec, fit_codec, load_codec
from seqlens.errors import RequestError, WorkError

LETTERS = "ACGTRYSWKMBDHVN"


def test_the_ids_never_change(tmp_path: Path) -> None:
    codec = fit_codec(NucleotidesConfig(), ["ACGT"])
    assert isinstance(codec, TextCodec)
    assert codec.encode("AC gt\nu") == [4, 5, 6, 7, 7]
    assert codec.size == 19
    codec.save(tmp_path)
    again = load_codec(tmp_path)
    assert again.fingerprint == codec.fingerprint
    assert again.tokens("AN") == ["A", "N"]


@given(st.text(LETTERS, max_size=30))
def test_sequences_come_back(text: str) -> None:
    codec = NucleotidesCodec()
    assert codec.decode(codec.encode(text)) == codec.normalise(text.lower()) == text
    assert not codec.unknown_pieces(text)


def test_spans_are_of_the_text_as_typed() -> None:
    text = " ac g"
    spans = NucleotidesCodec().spans(text)
    assert [text[start:end] for start, end in spans] == ["a", "c", "g"]


def test_what_is_no_letter_of_dna_is_refused() -> None:
    with pytest.raises(RequestError, match=r"'X' as its letter 3"):
        NucleotidesCodec().encode("acxt")
    with pytest.raises(RequestError, match="no sequences"):
        fit_codec(NucleotidesConfig(), [])


def test_a_codec_of_other_letters_is_refused(tmp_path: Path) -> None:
    from seqlens.data.codecs.storage import write_codec

    content = {"kind": "nucleotides", "letters": list("ACGU"), "normalisation": "none", "lowercase": False}
    write_codec(tmp_path, content)
    with pytest.raises(WorkError, match="letters"):
        load_codec(tmp_path)
