"""Entity F1 is seqeval's."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score

from seqlens.data.tagged.schemes import lenient_spans
from seqlens.metrics.spans import span_statistics

tags = st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y", "E-x", "S-y"])
sentences = st.lists(
    st.integers(0, 6).flatmap(
        lambda length: st.tuples(*[st.lists(tags, min_size=length, max_size=length) for _ in range(2)])
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60)
@given(sentences)
def test_scores_of_any_tags_are_those_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    truth, found = [list(one) for one, _ in pairs], [list(other) for _, other in pairs]
    measures = span_statistics([lenient_spans(one) for one in truth], [lenient_spans(one) for one in found])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert measures["f1"].value() == pytest.approx(float(f1_score(truth, found)), abs=1e-12)
        assert measures["precision"].value() == pytest.approx(float(precision_score(truth, found)), abs=1e-12)
        assert measures["recall"].value() == pytest.approx(float(recall_score(truth, found)), abs=1e-12)


def test_a_row_an_example_gives_an_interval() -> None:
    truth = [[(0, 1, "x")], [(0, 2, "y"), (3, 4, "x")], []]
    found = [[(0, 1, "x")], [(0, 2, "x")], [(1, 2, "y")]]
    f1 = span_statistics(truth, found, name="person")["f1"]
    np.testing.assert_array_equal(f1.per_example, [[1, 1, 1], [0, 1, 2], [0, 1, 0]])
    score = f1.score()
    assert (score.name, score.value) == ("person F1", pytest.approx(2 / 6))
    assert score.low <= score.value <= score.high
    other = span_statistics(truth[:2], found[:2])["f1"]
    assert other.references_id != f1.references_id
