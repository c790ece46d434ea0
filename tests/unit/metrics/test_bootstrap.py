import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlens.metrics.bootstrap as bootstrap
from seqlens.errors import RequestError
from seqlens.metrics import mean_statistics
from seqlens.metrics.bootstrap import interval, resample_totals


@settings(max_examples=30, deadline=None)
@given(num_examples=st.integers(1, 30), num_resamples=st.integers(1, 30), seed=st.integers(0, 99))
def test_totals_are_sums_of_rows_drawn_with_replacement(num_examples, num_resamples, seed):
    rows = np.random.default_rng(1).integers(0, 50, size=(num_examples, 3)).astype(np.float64)
    drawn = np.random.default_rng(seed).choice(num_examples, size=(num_resamples, num_examples), replace=True)
    assert np.array_equal(resample_totals(rows, num_resamples, seed), rows[drawn].sum(axis=1))


def test_working_in_portions_changes_nothing(monkeypatch):
    rows = np.random.default_rng(1).normal(size=(37, 2))
    whole = resample_totals(rows, 101, 5)
    monkeypatch.setattr(bootstrap, "_MAX_NUMBERS_AT_ONCE", 37 * 8 + 1)
    assert np.allclose(resample_totals(rows, 101, 5), whole, rtol=1e-13)


def test_the_interval_leaves_out_a_fortieth_at_each_end():
    values = np.random.default_rng(0).permutation(1000).astype(np.float64)
    assert interval(values) == (25.0, 974.0)
    assert interval(np.array([3.0])) == (3.0, 3.0)


def test_the_mean_of_a_value_of_every_example():
    score = mean_statistics("accuracy", [1.0, 0.0, 1.0, 1.0]).score(num_resamples=50)
    assert score.value == 0.75
    assert (score.name, score.num_examples) == ("accuracy", 4)


def test_resamples_are_needed():
    with pytest.raises(RequestError, match="'num_resamples' is 0, expected 1 or more"):
        resample_totals(np.ones((3, 1)), 0, 1)
