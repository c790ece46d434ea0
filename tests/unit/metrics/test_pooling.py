"""Statistics put together: parts of a whole, and several systems on the same examples."""

import numpy as np
import pytest

from seqlens.errors import RequestError
from seqlens.metrics import mean_of_systems, mean_statistics, paired_bootstrap, pool_parts
from seqlens.metrics.spans import span_statistics


def test_parts_pooled_are_the_whole() -> None:
    truth = [{(0, 1, "a")}, {(0, 2, "b"), (3, 4, "a")}, set(), {(1, 2, "a")}]
    found = [{(0, 1, "a")}, {(0, 2, "a")}, {(0, 1, "a")}, {(1, 2, "a")}]
    whole = span_statistics(truth, found)["f1"]
    pooled = pool_parts([span_statistics(truth[part], found[part])["f1"] for part in (slice(0, 1), slice(1, 4))])
    # Not the mean of the parts' F1: counts are added.
    assert pooled.value() == whole.value() == pytest.approx(2 * 2 / (4 + 4))
    assert np.array_equal(pooled.per_example, whole.per_example)
    assert pooled.score().low == whole.score().low


def test_only_what_was_measured_alike_is_pooled_or_compared() -> None:
    accuracy = mean_statistics("accuracy", [1.0, 0.0], references_id="a")
    other = mean_statistics("loss", [1.0, 0.0], references_id="b")
    with pytest.raises(RequestError, match="cannot be pooled"):
        pool_parts([accuracy, other])
    pooled = pool_parts([accuracy, accuracy])
    with pytest.raises(RequestError, match="different references"):
        paired_bootstrap(pooled, pool_parts([accuracy, mean_statistics("accuracy", [1.0, 0.0], references_id="b")]))


def test_the_mean_of_systems_is_one_statistic_of_the_examples() -> None:
    first = mean_statistics("accuracy", [1.0, 0.0, 1.0, 1.0], references_id="a")
    second = mean_statistics("accuracy", [0.0, 0.0, 1.0, 1.0], references_id="a")
    mean = mean_of_systems([first, second])
    assert mean.value() == pytest.approx((0.75 + 0.5) / 2)
    assert mean.num_examples == 4
    score = mean.score()
    assert score.low < mean.value() < score.high
    assert mean_of_systems([first]) is first
