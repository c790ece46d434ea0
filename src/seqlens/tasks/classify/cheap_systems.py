"""What stands above the net's score: the commonest label, naive Bayes, of nucleotides logistic regression."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from seqlens.data.text import TextCodec
from seqlens.metrics import Statistics
from seqlens.tasks.classify.baselines import NaiveBayes, majority
from seqlens.tasks.classify.window_baselines import position_regression, word_regression

Probabilities = Sequence[dict[str, float]]


def cheap_systems(
    codec: TextCodec,
    kind: str,
    labels: Sequence[str],
    train: Sequence[tuple[str, str]],
    texts: Sequence[str],
    measure: Callable[[Probabilities], dict[str, Statistics]],
) -> dict[str, dict[str, Statistics]]:
    """Fits them on texts with their labels, and measures their probabilities for other texts.

    Naive Bayes is on unigrams and bigrams (of characters, up to six in a row). `labels` are all, in their order.
    """
    found = [label for _, label in train]
    common = majority(found)
    letters = kind in ("characters", "nucleotides")
    known = codec.encode_batch(text for text, _ in train)
    bayes = NaiveBayes.fit(known, found, orders=tuple(range(1, 7) if letters else (1, 2)))
    rows = codec.encode_batch(texts)
    always = [{label: float(label == common) for label in labels}] * len(texts)
    # It answers without a probability, so nothing of probabilities is measured.
    answered = {name: of for name, of in measure(always).items() if name not in ("log_loss", "calibration_error")}
    systems = {
        f"commonest label ({common})": answered,
        f"naive Bayes, {'up to 6-grams' if letters else 'bigrams'}": measure(
            [bayes.probabilities(row) for row in rows]
        ),
    }
    if kind == "nucleotides":
        places = [labels.index(label) for label in found]
        systems["logistic regression, words of 4"] = measure(_named(labels, word_regression(known, places, rows)))
        for pairs, what in ((False, "one-hot positions"), (True, "one-hot positions and pairs of neighbours")):
            by_place = position_regression(known, places, rows, pairs=pairs)
            if by_place is not None:
                systems[f"logistic regression, {what}"] = measure(_named(labels, by_place))
    return systems


def _named(labels: Sequence[str], chances: Float[np.ndarray, "rows classes"]) -> list[dict[str, float]]:
    return [dict(zip(labels, row, strict=True)) for row in chances.tolist()]
