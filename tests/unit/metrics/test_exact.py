import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.errors import RequestError
from seqlens.metrics import ExactMatch, exact_match

texts = st.sampled_from(["2009-06-25", "2009-06-26", "2009-06-25 ", "é", "e\u0301", "ß", "SS", "É", ""])


@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=2)), min_size=1, max_size=8))
def test_it_is_the_share_of_texts_equal_to_a_reference(pairs):
    metric = ExactMatch(num_resamples=20)
    for hypothesis, several in pairs:
        metric.add([hypothesis], [several])
    score = metric.compute()
    assert score.value == sum(hypothesis in several for hypothesis, several in pairs) / len(pairs)
    assert 0 <= score.low <= score.high <= 1


def test_case_counts_unless_told_otherwise():
    assert exact_match(["É", "é"], ["é", "é"]).value == 0.5
    assert exact_match(["É", "é"], ["é", "é"], lowercase=True).value == 1.0
    assert exact_match(["É"], ["é"], lowercase=True).signature == "nrefs:1|case:lc|bs:1000|seed:12345"


def test_the_interval_is_that_of_a_share():
    score = exact_match(["right"] * 300 + ["wrong"] * 100, ["right"] * 400)
    # The normal approximation: 0.75 +- 1.96 * sqrt(0.75 * 0.25 / 400).
    assert score.low == pytest.approx(0.7076, abs=0.008)
    assert score.high == pytest.approx(0.7924, abs=0.008)
    assert str(score).startswith("exact match 0.750 [0.7")


def test_no_examples_get_a_sentence():
    with pytest.raises(RequestError, match="exact match of no examples was asked for; there must be at least 1"):
        ExactMatch().compute()
