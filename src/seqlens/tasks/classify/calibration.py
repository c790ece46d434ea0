"""Calibration: probabilities that mean what they say.

C. Guo et al. (2017), "On calibration of modern neural networks": one temperature by which logits are divided, fitted
on held-out examples; it changes no answer. Their expected calibration error (section 2) measures what is left.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

NUM_BINS = 15


def fit_temperature(logits: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"]) -> float:
    """The temperature, from 0.05 to 20, with the least cross-entropy; examples with a label below 0 do not count.

    The loss is convex in the temperature's inverse, so it has one minimum, which golden sections find.
    Where every answer is right there is none, as ever surer answers are ever better: the temperature is 1 then.
    """
    keep = labels >= 0
    logits, labels = logits[keep].double(), labels[keep]
    if bool((logits.argmax(1) == labels).all()):
        return 1.0

    def loss(log_temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / np.exp(log_temperature), labels))

    low, high = float(np.log(0.05)), float(np.log(20.0))
    ratio = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def without_temperature(probabilities: Mapping[str, float], temperature: float) -> dict[str, float]:
    """The probabilities that the logits give by themselves, of those that they give divided by the temperature."""
    values = np.array(list(probabilities.values()), dtype=np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(values) * temperature
    shares = np.exp(logits - logits.max())
    return dict(zip(probabilities, (shares / shares.sum()).tolist(), strict=True))


def bin_places(probabilities: Float64[np.ndarray, "examples"], num_bins: int) -> Int64[np.ndarray, "examples"]:
    """In which of the bins of equal width from 0 to 1 each probability lies; a bound belongs to the upper one."""
    return np.minimum((probabilities * num_bins).astype(np.int64), num_bins - 1)


class ReliabilityBin(NamedTuple):
    """The answers whose probability lies in one part of 0 to 1: how many, how many right, their mean probability."""

    low: float
    high: float
    num_answers: int
    num_right: int
    confidence: float


def reliability(
    probabilities: Float64[np.ndarray, "examples"], correct: Float64[np.ndarray, "examples"], num_bins: int = NUM_BINS
) -> list[ReliabilityBin]:
    """The answers in bins of equal width by probability, empty ones left out."""
    places = bin_places(probabilities, num_bins)
    found = []
    for place in range(num_bins):
        chosen = places == place
        if chosen.any():
            low, high = place / num_bins, (place + 1) / num_bins
            right = int(correct[chosen].sum())
            found.append(ReliabilityBin(low, high, int(chosen.sum()), right, float(probabilities[chosen].mean())))
    return found


class AbstentionPoint(NamedTuple):
    """Answering only where the probability is at least `threshold`: the share answered, and the share of it right."""

    threshold: float
    coverage: float
    accuracy: float


def abstention_curve(
    probabilities: Float64[np.ndarray, "examples"], correct: Float64[np.ndarray, "examples"], num_points: int = 20
) -> list[AbstentionPoint]:
    """Accuracy against coverage, from all answers to the most probable ones alone."""
    order = np.argsort(-probabilities, kind="stable")
    found = []
    for number in range(num_points, 0, -1):
        count = max(1, round(len(order) * number / num_points))
        chosen = order[:count]
        found.append(
            AbstentionPoint(float(probabilities[chosen[-1]]), count / len(order), float(correct[chosen].mean()))
        )
    return found
