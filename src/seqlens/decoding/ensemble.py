"""Several models searched as one: each step gives the mean of their probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.decoding.step import SearchState, StepFunction, StepOutput


@final
@dataclass(frozen=True, slots=True)
class EnsembleState:
    """The states of all models, row by row the same hypotheses."""

    states: tuple[SearchState, ...]

    def reorder(self, rows: Int[Tensor, "new_rows"], groups: Int[Tensor, "new_groups"] | None) -> "EnsembleState":
        """Reorders the states of all models alike."""
        return EnsembleState(tuple(state.reorder(rows, groups) for state in self.states))


def average(steps: Sequence[StepFunction]) -> StepFunction:
    """The step of an ensemble, whose state is an `EnsembleState` of as many states, in the order of `steps`.

    Its logits are the logarithm of the mean probability. The alignment is the mean of those that the models give.
    """

    def step(tokens: Int[Tensor, "rows"], state: SearchState) -> StepOutput:
        assert isinstance(state, EnsembleState)
        outputs = [own(tokens, part) for own, part in zip(steps, state.states, strict=True)]
        alignments = [output.alignment for output in outputs if output.alignment is not None]
        return StepOutput(
            mean_log_probs([output.logits for output in outputs]),
            EnsembleState(tuple(output.state for output in outputs)),
            _mean_alignment(alignments) if alignments else None,
        )

    return step


def mean_log_probs(logits: Sequence[Float[Tensor, "rows _vocab"]]) -> Float[Tensor, "rows most"]:
    """`log(1/n Σ softmax(logits_i))`, in float32 at least; a model that knows fewer symbols gives the others 0."""
    most = max(one.shape[1] for one in logits)
    every = [torch.log_softmax(one.to(torch.promote_types(one.dtype, torch.float32)), dim=1) for one in logits]
    padded = [torch.nn.functional.pad(one, (0, most - one.shape[1]), value=float("-inf")) for one in every]
    return torch.logsumexp(torch.stack(padded), dim=0) - math.log(len(padded))


def _mean_alignment(alignments: Sequence[Float[Tensor, "rows _source"]]) -> Float[Tensor, "rows most"]:
    """A state may have dropped padding that another still has."""
    most = max(one.shape[1] for one in alignments)
    padded = [torch.nn.functional.pad(one.float(), (0, most - one.shape[1])) for one in alignments]
    return torch.stack(padded).mean(dim=0)
