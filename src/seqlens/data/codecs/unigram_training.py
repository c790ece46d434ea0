"""Finds the pieces of a unigram language model by expectation maximisation and pruning: Kudo 2018, section 3.2.

The library tokenizers has a trainer for this model too, but it adds floating-point numbers in an order that differs
from process to process, and it weighs a candidate piece by the number of different words it is in, so that it drops
frequent short pieces (on English captions it writes a third more pieces than this one). Here all runs are cut at the
same time, by numpy, in one order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

MAX_PIECE_LENGTH = 16
_MAX_POSITIONS = 4_000_000  # of the training runs, the most frequent ones that are no longer than this together
_CANDIDATES_PER_PIECE = 16
_NUM_STEPS = 2  # of expectation maximisation between two prunings
_SHRINKING = 0.75  # the share of pieces that a pruning keeps
_MIN_EXPECTED = 0.5
_SCORE_DIGITS = 5

Integers = Int[np.ndarray, "..."]
Floats = Float[np.ndarray, "..."]


@final
@dataclass(frozen=True, slots=True)
class Runs:
    """All different runs of the training text, one after another, each with one more position for its end."""

    codes: Int[np.ndarray, "positions"]  # index in the alphabet; -1 at an end
    offsets: Int[np.ndarray, "positions"]  # characters of the run before this position
    remaining: Int[np.ndarray, "positions"]  # characters of the run from this position on
    weights: Float[np.ndarray, "positions"]  # how often the run occurs
    ends: Int[np.ndarray, "positions"]  # the position of the run's end
