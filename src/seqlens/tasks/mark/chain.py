"""The chain of genes: scores of bases and boundaries, and what the grammar allows, as scores of transitions."""

from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.constants import ConstantsModule
from seqlens.layers.step_chain import StepChain
from seqlens.tasks.mark.states import CODING, EDGES, NUM_KINDS, PREDECESSORS

_FORBIDDEN = -1e9
_PHASES = 3


class GenePath(NamedTuple):
    """The best states `[batch, time]`, and how probable each base's state is `[batch, time]`."""

    states: Int[Tensor, "batch time"]
    confidence: Float[Tensor, "batch time"]


@final
class GeneChain(ConstantsModule):
    """A conditional random field over the states of genes; it has no weights of its own."""

    kinds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.chain = StepChain(PREDECESSORS)
        slots = self.chain.num_slots
        kinds = [[*(kind for _, kind in states), *[0] * (slots - len(states))] for states in EDGES]
        self.register_constant("kinds", torch.tensor(kinds, device="cpu"))

    def edges(
        self,
        scores: Float[Tensor, "batch time 2 8"],
        signals: Bool[Tensor, "batch time 2 5"],
        states: Int[Tensor, "batch time"] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch time states slots"]:
        """Scores of all transitions; the steps of the path `states`, if given, are allowed whatever the grammar says.

        `scores` are a marker's: those of a boundary of the other strand stand at the base on its left.
        """
        batch, time = scores.shape[:2]
        between = scores.new_zeros(batch, time, 1)
        parts = [between]
        for strand in range(2):
            own = scores[:, :, strand]
            parts += [own[:, :, :_PHASES], own[:, :, _PHASES : _PHASES + 1].expand(-1, -1, _PHASES)]
        emitted = torch.cat(parts, dim=2)
        here = scores[:, :, 0, _PHASES + 1 :]
        there = nn.functional.pad(scores[:, :, 1, _PHASES + 1 :], (0, 0, 1, 0))[:, :time]
        following = scores.new_zeros(batch, time, 1)
        by_kind = torch.cat((between, here, following, there, following), dim=2)
        always = torch.ones_like(signals[:, :, 0, :1])
        allowed_kinds = torch.cat((always, signals[:, :, 0], signals[:, :, 1]), dim=2)
        assert by_kind.shape[2] == allowed_kinds.shape[2] == NUM_KINDS
        shape = (batch, time, *self.kinds.shape)
        index = self.kinds.flatten()
        allowed = allowed_kinds.index_select(2, index).view(shape)
        if states is not None and time:
            allowed = self._with_path(allowed, states, lengths)
        edges = by_kind.index_select(2, index).view(shape).masked_fill(~allowed, _FORBIDDEN)
        # The first step is a start and no transition.
        first = torch.zeros_like(edges[:, :1])
        return torch.cat((first, edges[:, 1:]), dim=1) + emitted[:, :, :, None]

    def loss(
        self,
        scores: Float[Tensor, "batch time 2 8"],
        signals: Bool[Tensor, "batch time 2 5"],
        states: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, " batch"]:
        """The negative log-probability of each path, in float64."""
        edges = self.edges(scores, signals, states, lengths)
        return self.chain.log_partition(edges, lengths) - self.chain.path_score(edges, states, lengths)

    def decode(
        self,
        scores: Float[Tensor, "batch time 2 8"],
        signals: Bool[Tensor, "batch time 2 5"],
        lengths: Int[Tensor, " batch"],
        *,
        coding_weight: float | None = None,
        confidence: bool = True,
    ) -> GenePath:
        """The most probable path, or with `coding_weight` the one with the most bases that are expected to be right.

        For the latter each base's probable states are added up over all paths, coding ones counted so many times. It
        finds genes of which many readings are likely, but none for certain. Without `confidence` the most probable
        path is found in a quarter of the time, with confidence 1 everywhere.
        """
        edges = self.edges(scores, signals)
        if coding_weight is None and not confidence:
            states = self.chain.best_path(edges, lengths)
            return GenePath(states, torch.ones(states.shape, dtype=torch.float64))
        shares = self.chain.marginals(edges, lengths).states
        if coding_weight is None:
            states = self.chain.best_path(edges, lengths)
        else:
            gains = shares.clone()
            for first in CODING.values():
                gains[:, :, first : first + _PHASES] *= coding_weight
            allowed = edges > _FORBIDDEN / 2
            expected = gains[..., None].expand(edges.shape).masked_fill(~allowed, _FORBIDDEN)
            states = self.chain.best_path(expected, lengths)
        return GenePath(states, shares.cpu().gather(2, states[:, :, None])[:, :, 0])

    def _with_path(self, allowed: Tensor, states: Tensor, lengths: Tensor | None) -> Tensor:
        batch, time = states.shape
        steps = torch.arange(time)
        ends = torch.full((batch,), time) if lengths is None else lengths.cpu()
        running = (steps[None] < ends[:, None]).to(states.device)
        slots = self.chain.slots_of(states, running)
        rows = torch.arange(batch, device=states.device)[:, None]
        allowed = allowed.clone()
        allowed[rows, steps.to(states.device), states.where(running, 0), slots] = True
        return allowed
