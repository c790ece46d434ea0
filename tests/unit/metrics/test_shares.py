import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.errors import RequestError
from seqlens.metrics import share_of


def test_it_is_wilsons_interval():
    # Newcombe (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for count, total, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        score = share_of(count, total)
        assert (score.low, score.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_holds_the_share_and_mirrors(counts):
    count, total = counts
    score, rest = share_of(count, total), share_of(total - count, total)
    assert 0 <= score.low <= score.value <= score.high <= 1
    assert score.low < score.high
    assert (score.low, score.high) == pytest.approx((1 - rest.high, 1 - rest.low))


def test_no_examples_and_wrong_counts_are_refused():
    with pytest.raises(RequestError, match="omitted of no examples"):
        share_of(0, 0, name="omitted")
    with pytest.raises(RequestError, match="the count is 3, expected 0 to 2"):
        share_of(3, 2)
