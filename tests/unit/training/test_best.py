import math

import pytest

from seqlens.errors import RequestError
from seqlens.training.best import BestTracker


def test_the_smallest_or_the_largest_is_best_and_a_tie_is_not() -> None:
    lowest, highest = BestTracker("loss", "min", patience=None), BestTracker("bleu", "max", patience=None)
    assert [lowest.observe(step, {"loss": value}) for step, value in enumerate([3.0, 3.0, 2.0, 4.0])] == [
        *(True, False, True, False)
    ]
    assert [highest.observe(step, {"bleu": value}) for step, value in enumerate([0.0, -1.0, 5.0, 5.0])] == [
        *(True, False, True, False)
    ]
    assert (lowest.step, lowest.metrics, highest.step) == (2, {"loss": 2.0}, 2)


def test_patience_counts_validations_in_a_row() -> None:
    best = BestTracker("loss", "min", patience=2)
    seen = []
    for step, value in enumerate([5.0, 6.0, 4.0, 9.0, 9.0]):
        best.observe(step, {"loss": value})
        seen.append(best.exhausted)
    assert seen == [False, False, False, False, True]


def test_what_is_not_a_number_is_never_best() -> None:
    best = BestTracker("loss", "max", patience=2)
    assert not best.observe(1, {"loss": math.nan})
    assert best.step is None
    assert not best.observe(2, {"loss": math.inf})
    assert best.exhausted
    assert best.observe(3, {"loss": -1.0, "other": math.nan})
    assert best.metrics == {"loss": -1.0, "other": None}


def test_a_misspelt_metric_gets_a_sentence() -> None:
    with pytest.raises(
        RequestError, match=r"'training.metric' is 'bleuu', expected .* bleu, loss. Did you mean 'bleu'"
    ):
        BestTracker("bleuu", "max", patience=None).observe(1, {"loss": 1.0, "bleu": 2.0})


def test_it_goes_on_from_its_state() -> None:
    best, resumed = BestTracker("loss", "min", patience=2), BestTracker("loss", "min", patience=2)
    best.observe(1, {"loss": 1.0})
    best.observe(2, {"loss": 2.0})
    resumed.load_state_dict(best.state_dict())
    assert (resumed.step, resumed.metrics) == (1, {"loss": 1.0})
    assert not resumed.observe(3, {"loss": 1.5})
    assert resumed.exhausted
