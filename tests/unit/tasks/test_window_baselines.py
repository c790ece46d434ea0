"""Logistic regression on windows is that of scikit-learn."""

import numpy as np
import pytest
import torch

from seqlens.tasks.classify.window_baselines import fit_regression, position_regression, word_regression

DRAW = np.random.default_rng(1)
ROWS = DRAW.integers(4, 8, size=(60, 12)).tolist()
LABELS = [int(row[3] > 5) + int(row[7] > 6) for row in ROWS]


@pytest.mark.parametrize("penalty", [1.0, 10.0])
def test_regression_as_scikit_learn(penalty: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    features = np.eye(8)[np.array(ROWS)].reshape(60, -1)
    expected = linear.LogisticRegression(C=1 / penalty, max_iter=2000, tol=1e-8).fit(features[:40], LABELS[:40])
    rows = torch.from_numpy(features).float()
    found = fit_regression(rows[:40], torch.tensor(LABELS[:40]), rows[40:], 3, penalty)
    np.testing.assert_allclose(torch.softmax(found, 1), expected.predict_proba(features[40:]), atol=5e-3)


@pytest.mark.parametrize(("seed", "noise"), [(1, 0.0), (2, 0.45)])
def test_the_penalty_is_the_best_on_a_fifth_of_the_training_rows(seed: int, noise: float) -> None:
    draw = np.random.default_rng(seed)
    rows = draw.integers(4, 8, size=(80, 12))
    labels = ((rows[:, 3] > 5) ^ (draw.random(80) < noise)).astype(int).tolist()
    found = position_regression(rows[:60].tolist(), labels[:60], rows[60:].tolist())
    features = torch.from_numpy(np.eye(4)[rows - 4].reshape(80, -1)).float()
    parts, targets = torch.arange(60) % 5 == 4, torch.tensor(labels[:60])

    def loss_of(penalty: float) -> float:
        logits = fit_regression(features[:60][~parts], targets[~parts], features[:60][parts], 2, penalty)
        return float(torch.nn.functional.cross_entropy(logits, targets[parts]))

    best = min((1.0, 3.0, 10.0, 30.0, 100.0), key=loss_of)
    assert (best >= 10) == (noise > 0)
    expected = torch.softmax(fit_regression(features[:60], targets, features[60:], 2, best), 1)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_pairs_of_neighbours_tell_what_single_symbols_do_not() -> None:
    rows = DRAW.integers(4, 6, size=(120, 3)).tolist()
    labels = [int(row[0] == row[1]) for row in rows]

    def right(pairs: bool) -> float:
        found = position_regression(rows[:80], labels[:80], rows[80:], pairs=pairs)
        assert found is not None
        return float((found.argmax(1) == labels[80:]).mean())

    assert right(pairs=True) == 1
    assert right(pairs=False) < 0.8


def test_symbols_that_training_has_not_count_nothing() -> None:
    found = position_regression([[4, 5], [5, 4]] * 5, [0, 1] * 5, [[4, 9], [9, 9]], pairs=True)
    assert found is not None
    assert found[0, 0] > 0.5
    assert found[1, 0] == pytest.approx(0.5, abs=0.01)


def test_windows_of_different_lengths_have_no_positions() -> None:
    assert position_regression([[4, 5], [4]], [0, 1], [[4]]) is None


def test_words_tell_classes_apart() -> None:
    rows = [[4] * 10, [5] * 10] * 5
    found = word_regression(rows, [0, 1] * 5, [[4] * 9, [5] * 12, []])
    assert found[0, 0] > 0.9 > 0.1 > found[1, 0]
    assert found[2].sum() == pytest.approx(1.0)
