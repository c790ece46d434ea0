"""Accuracy, F1, log-loss and calibration as sufficient statistics, so that they have intervals and paired tests."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from seqlens.data.labelled.records import LabelledText
from seqlens.metrics import Statistics, mean_statistics
from seqlens.tasks.classify.calibration import NUM_BINS, bin_places

SMALLEST_PROBABILITY = 1e-12
MOST_RECALLS = 10
"""Of more classes there is no recall each: the scores would fill a page."""


def accuracy(labels: Sequence[str], answers: Sequence[str]) -> Statistics:
    """The share of answers that are the label."""
    correct = [float(label == answer) for label, answer in zip(labels, answers, strict=True)]
    return mean_statistics("accuracy", correct, signature="share", references_id=_id_of(labels))


def macro_f1(labels: Sequence[str], answers: Sequence[str], classes: Sequence[str]) -> Statistics:
    """The mean of the F1 of the classes that are there or answered, as in scikit-learn.

    Its signature tells the classes, whose counts stand side by side.
    """
    rows = np.zeros((len(labels), 3 * len(classes)))
    for number, name in enumerate(classes):
        truth = np.array([label == name for label in labels], dtype=bool)
        found = np.array([answer == name for answer in answers], dtype=bool)
        rows[:, 3 * number] = truth & found
        rows[:, 3 * number + 1] = found & ~truth
        rows[:, 3 * number + 2] = truth & ~found
    signature = f"macro|classes:{len(classes)}:{_id_of(classes)[:8]}"
    return Statistics("macro F1", rows, _macro_f1_of_totals, signature, _id_of(labels), decimals=3)


def recall(labels: Sequence[str], answers: Sequence[str], name: str) -> Statistics:
    """The share of a class's examples that are answered with it; 0 where there are none."""
    truth = np.array([label == name for label in labels], dtype=bool)
    found = np.array([answer == name for answer in answers], dtype=bool)
    rows = np.stack([truth & found, truth], axis=1).astype(np.float64)
    return Statistics(f"recall of {name}", rows, _recall_of_totals, f"class:{name}", _id_of(labels), decimals=3)


def matthews(labels: Sequence[str], answers: Sequence[str], positive: str) -> Statistics:
    """Matthews' correlation coefficient of two classes; 0 where a class is never there or never answered."""
    truth = np.array([label == positive for label in labels], dtype=bool)
    found = np.array([answer == positive for answer in answers], dtype=bool)
    rows = np.stack([truth & found, ~truth & ~found, ~truth & found, truth & ~found], axis=1).astype(np.float64)
    signature = f"positive:{positive}"
    return Statistics("correlation", rows, _matthews_of_totals, signature, _id_of(labels), decimals=3)


def log_loss(labels: Sequence[str], probabilities: Sequence[dict[str, float]]) -> Statistics:
    """The mean negative natural logarithm of the label's probability; at least 1e-12 is taken."""
    values = [
        -float(np.log(max(of.get(label, 0.0), SMALLEST_PROBABILITY)))
        for label, of in zip(labels, probabilities, strict=True)
    ]
    return mean_statistics("log-loss", values, signature="base:e|mean", references_id=_id_of(labels))


def expected_calibration_error(
    labels: Sequence[str], probabilities: Sequence[dict[str, float]], num_bins: int = NUM_BINS
) -> Statistics:
    """How far the answers' probability and the share of right ones lie apart, in bins of equal width (Guo et al. 2017).

    Of few examples it is above 0 even where every probability is true, as chance parts the two in each bin.
    """
    answers = [max(of, key=of.__getitem__) for of in probabilities]
    chances = np.array([of[answer] for of, answer in zip(probabilities, answers, strict=True)], dtype=np.float64)
    correct = np.array([label == answer for label, answer in zip(labels, answers, strict=True)], dtype=np.float64)
    rows = np.zeros((len(labels), num_bins + 1))
    rows[np.arange(len(labels)), bin_places(chances, num_bins)] = chances - correct
    rows[:, num_bins] = 1.0
    signature = f"expected|bins:{num_bins}"
    return Statistics("calibration error", rows, _calibration_of_totals, signature, _id_of(labels), decimals=3)


def measure_answers(
    examples: Sequence[LabelledText], probabilities: Sequence[dict[str, float]], labels: Sequence[str]
) -> dict[str, Statistics]:
    """All of these of the most probable labels; of two labels the correlation, of more the recall of each."""
    truth = [example.label for example in examples]
    answers = [max(of, key=of.__getitem__) for of in probabilities]
    # A label that training has not can be none of the answers, but counts; and the order must not depend on which.
    classes = sorted({*labels, *truth})
    measures = {"accuracy": accuracy(truth, answers), "macro_f1": macro_f1(truth, answers, classes)}
    if len(classes) == 2:
        measures["correlation"] = matthews(truth, answers, labels[1])
    elif len(labels) <= MOST_RECALLS:
        measures |= {f"recall_{label}": recall(truth, answers, label) for label in labels}
    measures["log_loss"] = log_loss(truth, probabilities)
    measures["calibration_error"] = expected_calibration_error(truth, probabilities)
    return measures


def _macro_f1_of_totals(totals: Float64[np.ndarray, "*sets counts"]) -> Float64[np.ndarray, "*sets"]:
    right, wrong, missed = totals[..., 0::3], totals[..., 1::3], totals[..., 2::3]
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = 2 * right / (2 * right + wrong + missed)
    there = ~np.isnan(f1)
    return np.asarray(np.where(there, f1, 0.0).sum(axis=-1) / np.maximum(there.sum(axis=-1), 1))


def _recall_of_totals(totals: Float64[np.ndarray, "*sets 2"]) -> Float64[np.ndarray, "*sets"]:
    found, all_of_it = totals[..., 0], totals[..., 1]
    return np.asarray(np.divide(found, all_of_it, out=np.zeros_like(found), where=all_of_it > 0))


def _matthews_of_totals(totals: Float64[np.ndarray, "*sets 4"]) -> Float64[np.ndarray, "*sets"]:
    tp, tn, fp, fn = (totals[..., place] for place in range(4))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.asarray(np.nan_to_num(value))


def _calibration_of_totals(totals: Float64[np.ndarray, "*sets counts"]) -> Float64[np.ndarray, "*sets"]:
    return np.asarray(np.abs(totals[..., :-1]).sum(axis=-1) / totals[..., -1])


def _id_of(labels: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()
