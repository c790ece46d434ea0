"""What a search returns for an input: hypotheses, their log-probabilities, and how they were scored."""

from dataclasses import dataclass, field
from typing import final

from jaxtyping import Float
from torch import Tensor

LARGEST_LENGTH_PENALTY = 10.0
"""More would be beyond what float32 holds of the length of a long output."""


@final
@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One output sequence.

    `score = log_prob / length ** length_penalty`, where `length` counts the symbols chosen, the end included.
    With penalty 0 that is the log-probability itself, which favours short outputs; with penalty 1 it is the
    mean log-probability of a symbol. Scores are at most 0; higher is better.

    A finished hypothesis ended with the end symbol. One with `finished=False` ran into the maximum length; its
    log-probability is that of the symbols shown, with no end, so it is not comparable with a finished one.
    """

    tokens: tuple[int, ...]  # without start, without end
    log_prob: float  # natural logarithm under the model, end included
    score: float
    finished: bool
    alignment: Float[Tensor, "target source"] | None = field(default=None, compare=False, repr=False)


def penalty_table(max_length: int, length_penalty: float) -> list[float]:
    """`length ** length_penalty` for lengths from 0 to `max_length`; 1 for length 0, whose log-probability is 0.

    A table and not `torch.pow`, whose last bit depends on the place in the tensor: scores of equal hypotheses
    must be equal, and no rounding may break the bound at which the beam search stops.
    """
    return [1.0, *(float(length) ** length_penalty for length in range(1, max_length + 1))]
