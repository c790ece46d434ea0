"""Tags to spans: every scheme back and forth, and any tags as seqeval reads them."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from seqlens.data.tagged.schemes import Scheme, TagFault, lenient_spans, read_tags, write_tags

tags = st.one_of(
    st.just("O"), st.builds("{}-{}".format, st.sampled_from("BIES"), st.sampled_from(["person", "A-b", "x"]))
)


@given(st.lists(tags, max_size=12))
def test_any_tags_are_read_as_seqeval_reads_them(sequence: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [(first, last + 1, label) for label, first, last in get_entities(sequence)]
    assert lenient_spans(sequence) == expected


@st.composite
def spans(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    found, begin = [], 0
    for _ in range(draw(st.integers(0, 4))):
        first = begin + draw(st.integers(0, 2))
        begin = first + draw(st.integers(1, 3))
        found.append((first, begin, draw(st.sampled_from("AB"))))
    return found


@pytest.mark.parametrize("scheme", ["bio", "iob1", "bioes"])
@given(wanted=spans())
def test_spans_survive_every_scheme(scheme: Scheme, wanted: list[tuple[int, int, str]]) -> None:
    length = wanted[-1][1] + 1 if wanted else 3
    assert read_tags(write_tags(length, wanted, scheme), scheme) == wanted


def test_the_schemes_are_those_of_the_field() -> None:
    wanted = [(0, 1, "A"), (1, 4, "A"), (5, 6, "B")]
    assert write_tags(7, wanted, "bio") == ["B-A", "B-A", "I-A", "I-A", "O", "B-B", "O"]
    assert write_tags(7, wanted, "iob1") == ["I-A", "B-A", "I-A", "I-A", "O", "I-B", "O"]
    assert write_tags(7, wanted, "bioes") == ["S-A", "B-A", "I-A", "E-A", "O", "S-B", "O"]
    assert read_tags(["U-A", "B-A", "I-A", "L-A", "O", "U-B", "O"], "bioes") == wanted


@pytest.mark.parametrize(
    ("sequence", "scheme", "position", "message"),
    [
        (["O", "I-A"], "bio", 1, "has 'I-A' after 'O', expected 'B-A' where an entity begins"),
        (["I-A"], "bio", 0, "has 'I-A' at the beginning of its sentence, expected 'B-A' where an entity begins"),
        (["B-A", "I-B"], "bio", 1, "has 'I-B' after 'B-A', expected 'B-B' where an entity begins"),
        (["O", "B-A", "S-A"], "bio", 2, "has the tag 'S-A', expected O, B-LABEL or I-LABEL (E- and S- are of"),
        (["O", "b-A"], "bio", 1, "has the tag 'b-A', expected O, B-LABEL or I-LABEL"),
        (["O", "B-"], "bio", 1, "has the tag 'B-', expected"),
        (["", "O"], "iob1", 0, "has the tag '', expected"),
        (["B-A", "O"], "bioes", 1, "has 'O' after 'B-A', expected 'E-A' to end it"),
        (["B-A", "S-A"], "bioes", 1, "has 'S-A' after 'B-A', expected 'E-A' to end it"),
        (["B-A", "I-A"], "bioes", 1, "has 'I-A' at the end of its sentence, expected 'E-A'"),
        (["S-A", "E-A"], "bioes", 1, "has 'E-A' after 'S-A', expected 'B-A' or 'S-A' where an entity begins"),
    ],
)
def test_a_broken_scheme_is_named_by_its_tag(sequence: list[str], scheme: Scheme, position: int, message: str) -> None:
    fault = read_tags(sequence, scheme)
    assert isinstance(fault, TagFault)
    assert fault.position == position
    assert message in fault.message
