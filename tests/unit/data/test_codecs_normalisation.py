import unicodedata
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.codecs.normalisation import Normalisation, Normaliser

QUICK = settings(max_examples=40, deadline=None)

NORMALISERS = [Normaliser(form, lowercase) for form in get_args(Normalisation) for lowercase in (False, True)]
TRICKY = st.text(
    alphabet=st.sampled_from("aeE\u0301\u0323\u0345\u0f71각ᄀ\u1161\u11a8ﬁİΣΑ½ｶ\uff9e\u212bẞ "), max_size=12
)


@pytest.mark.parametrize("normaliser", NORMALISERS, ids=str)
@QUICK
@given(text=st.one_of(st.text(), TRICKY))
def test_alignment_gives_the_text_and_a_place_for_each_character(normaliser: Normaliser, text: str) -> None:
    normalised, spans = normaliser.align(text)

    assert normalised == normaliser.apply(text)
    assert len(spans) == len(normalised)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
    covered = {index for start, end in spans for index in range(start, end)}
    assert covered == set(range(len(text)))


@pytest.mark.parametrize("normaliser", NORMALISERS, ids=str)
@QUICK
@given(text=st.one_of(st.text(), TRICKY))
def test_normalising_twice_is_normalising_once(normaliser: Normaliser, text: str) -> None:
    once = normaliser.apply(text)

    assert normaliser.apply(once) == once


@QUICK
@given(text=st.text())
def test_the_forms_are_unicodes(text: str) -> None:
    assert Normaliser("none", False).apply(text) == text
    assert Normaliser("nfc", False).apply(text) == unicodedata.normalize("NFC", text)
    assert Normaliser("nfkc", False).apply(text) == unicodedata.normalize("NFKC", text)


def test_what_changes_alone_is_placed_alone() -> None:
    text = "Ae\u0301ﬁ각B"
    text = unicodedata.normalize("NFD", text[:4]) + "ᄀ\u1161\u11a8B"

    normalised, spans = Normaliser("nfkc", True).align(text)

    assert normalised == "aéfi각b"
    assert spans == [(0, 1), (1, 3), (3, 4), (3, 4), (4, 7), (7, 8)]


def test_lower_case_knows_the_final_sigma() -> None:
    assert Normaliser("nfc", True).align("ΟΔΟΣ Α") == ("οδος α", [(index, index + 1) for index in range(6)])


def test_lower_case_is_brought_into_form_again() -> None:
    # U+03D2 U+0301 has the joined form U+03D3, whose NFKC is another letter with an accent.
    assert Normaliser("nfkc", True).apply("\u03d2\u0301") == "\u03cd"
    assert Normaliser("nfc", True).apply("J\u030c") == "\u01f0"  # only the small letter has a joined form


def test_surrogates_keep_their_place() -> None:
    assert Normaliser("nfc", False).align("a\ud83dé") == ("a\ufffdé", [(0, 1), (1, 2), (2, 3)])
