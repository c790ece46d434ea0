"""Logistic regression on windows is that of scikit-learn."""

import numpy as np
import pytest

from seqlens.tasks.classify.window_baselines import position_regression, word_regression

DRAW = np.random.default_rng(1)
ROWS = DRAW.integers(4, 8, size=(60, 12)).tolist()
LABELS = [int(row[3] > 5) + int(row[7] > 6) for row in ROWS]


def test_by_position_as_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    features = np.eye(8)[np.array(ROWS)].reshape(60, -1)
    expected = linear.LogisticRegression(C=1.0, max_iter=2000, tol=1e-8).fit(features[:40], LABELS[:40])
    found = position_regression(ROWS[:40], LABELS[:40], ROWS[40:], 8)
    assert found is not None
    np.testing.assert_allclose(found, expected.predict_proba(features[40:]), atol=5e-3)


def test_windows_of_different_lengths_have_no_positions() -> None:
    assert position_regression([[4, 5], [4]], [0, 1], [[4]], 8) is None


def test_words_tell_classes_apart() -> None:
    rows = [[4] * 10, [5] * 10] * 5
    found = word_regression(rows, [0, 1] * 5, [[4] * 9, [5] * 12, []])
    assert found[0, 0] > 0.9 > 0.1 > found[1, 0]
    assert found[2].sum() == pytest.approx(1.0)
