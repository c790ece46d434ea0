"""A linear chain in which each step has scores of its own for every transition, and few transitions are allowed.

For what a static matrix of transitions cannot say: that a state may follow another only where the input allows it, such
as a coding stretch that begins at ATG. Forward, backward and Viterbi algorithm: L. Rabiner (1989), "A tutorial on
hidden Markov models"; as a conditional model: J. Lafferty et al. (2001), "Conditional random fields". All in float64:
sums over a hundred thousand steps are large, and differences between paths small.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, UInt
from torch import Tensor, nn

from seqlens.layers.constants import ConstantsModule
from seqlens.layers.masks import check_lengths

_IMPOSSIBLE = -1e30


class ChainMarginals(NamedTuple):
    """`states [batch, time, states]`, probabilities, zero at padding; `log_partition [batch]`."""

    states: Float[Tensor, "batch time states"]
    log_partition: Float[Tensor, " batch"]


@final
class StepChain(ConstantsModule):
    """The chain over `edges [batch, time, states, slots]`: has no weights of its own.

    `edges[b, t, s, k]` is the score of being in state `s` at step `t` after having been, one step before, in its `k`-th
    predecessor. At the first step slot 0 is the score of starting in `s`. Slots beyond a state's predecessors, and what
    lies beyond a sequence's length, are never read.
    """

    before: Tensor
    used: Tensor
    after: Tensor
    after_used: Tensor

    def __init__(self, predecessors: Sequence[Sequence[int]]) -> None:
        """`predecessors[s]` are the states that may stand before `s`, in the order of the slots.

        Raises:
            ValueError: a state is named that there is not, or twice before the same one.
        """
        super().__init__()
        self.num_states = len(predecessors)
        self.num_slots = max(map(len, predecessors), default=0)
        for state, states in enumerate(predecessors):
            if len(set(states)) != len(states) or not set(states) <= set(range(self.num_states)):
                raise ValueError(f"the predecessors of state {state} must be different states, but are {list(states)}")
        self.predecessors = tuple(tuple(states) for states in predecessors)
        slots = [[*states, *[0] * (self.num_slots - len(states))] for states in predecessors]
        used = [[slot < len(states) for slot in range(self.num_slots)] for states in predecessors]
        leaving: list[list[int]] = [[] for _ in predecessors]
        for state, states in enumerate(predecessors):
            for slot, one in enumerate(states):
                leaving[one].append(state * self.num_slots + slot)
        widest = max(map(len, leaving), default=0)
        for name, value in {
            "before": slots,
            "used": used,
            "after": [[*edges, *[0] * (widest - len(edges))] for edges in leaving],
            "after_used": [[place < len(edges) for place in range(widest)] for edges in leaving],
        }.items():
            self.register_constant(name, torch.tensor(value, device="cpu"))

    def log_partition(
        self, edges: Float[Tensor, "batch time states slots"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, " batch"]:
        """The logarithm of the sum over all paths of `exp(score)`, in float64; 0 for an empty sequence."""
        steps, running = self._prepare(edges, lengths)
        return _LogPartition.apply(steps, running, self)

    def path_score(
        self,
        edges: Float[Tensor, "batch time states slots"],
        states: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """The score of one path, in float64.

        Raises:
            ValueError: the path goes from a state to one that may not follow it.
        """
        _, running = self._prepare(edges, lengths)
        if not edges.shape[1]:
            return edges.new_zeros(len(edges), dtype=torch.float64)
        slots = self.slots_of(states, running.T)
        rows = torch.arange(len(states), device=states.device)[:, None]
        steps = torch.arange(states.shape[1], device=states.device)
        scores = edges.double()[rows, steps, states.where(running.T, 0), slots]
        return scores.where(running.T, 0.0).sum(1)

    def slots_of(
        self, states: Int[Tensor, "batch time"], running: Bool[Tensor, "batch time"]
    ) -> Int[Tensor, "batch time"]:
        """The slot of each step of a path, 0 at the first step and at padding.

        Raises:
            ValueError: the path goes from a state to one that may not follow it.
        """
        now, last = states[:, 1:].where(running[:, 1:], 0), states[:, :-1].where(running[:, 1:], 0)
        fits = (self.before[now] == last[:, :, None]) & self.used[now]
        if not bool((fits.any(2) | ~running[:, 1:]).all()):
            row, step = (int(one[0]) for one in torch.where(~fits.any(2) & running[:, 1:]))
            found = f"{int(last[row, step])} to {int(now[row, step])}"
            raise ValueError(f"sequence {row} goes from state {found} at step {step + 1}, which no edge allows")
        slots = fits.long().argmax(2)
        return nn.functional.pad(slots, (1, 0))

    def marginals(
        self, edges: Float[Tensor, "batch time states slots"], lengths: Int[Tensor, " batch"] | None = None
    ) -> ChainMarginals:
        """The probability of each state at each step, over all paths."""
        with torch.no_grad():
            steps, running = self._prepare(edges, lengths)
            if not len(steps):
                return ChainMarginals(
                    edges.new_zeros(*edges.shape[:3], dtype=torch.float64), edges.new_zeros(len(edges)).double()
                )
            forward, total = self._forward_scores(steps, running)
            backward = self._backward_scores(steps, running)
            found = torch.exp(forward + backward - total[:, None]).where(running[:, :, None], 0.0)
            return ChainMarginals(found.transpose(0, 1), total)

    def best_path(
        self, edges: Float[Tensor, "batch time states slots"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Int[Tensor, "batch time"]:
        """The highest-scoring path (Viterbi) on the CPU, 0 at padding; of equal ones that of the earliest slots."""
        with torch.no_grad():
            steps, running = self._prepare(edges, lengths)
        if not len(steps):
            return torch.zeros(edges.shape[:2], dtype=torch.int64)
        scores, runs = steps.cpu().numpy(), running.cpu().numpy()
        before = self.before.cpu().numpy()
        num_steps, batch = scores.shape[:2]
        slot_type = np.min_scalar_type(max(self.num_slots - 1, 0))
        chosen: UInt[np.ndarray, "time batch states"] = np.zeros((num_steps, batch, self.num_states), dtype=slot_type)
        best: Float64[np.ndarray, "batch states"] = scores[0, :, :, 0]
        for step in range(1, num_steps):
            reached = best[:, before] + scores[step]
            chosen[step] = reached.argmax(2)
            best = np.where(runs[step][:, None], reached.max(2), best)
        path = np.zeros((batch, num_steps), dtype=np.int64)
        state = best.argmax(1)
        rows = np.arange(batch)
        for step in range(num_steps - 1, -1, -1):
            path[:, step] = np.where(runs[step], state, 0)
            state = np.where(runs[step], before[state, chosen[step, rows, state]], state)
        return torch.from_numpy(path)

    def _prepare(self, edges: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Edges as `[time, batch, states, slots]` in float64, unused ones impossible, and which steps are real."""
        batch, time = edges.shape[:2]
        if edges.shape[2:] != self.before.shape:
            expected = f"[batch, time, {self.num_states}, {self.num_slots}]"
            raise ValueError(f"`edges` must be {expected}, but is {list(edges.shape)}")
        if lengths is None:
            running = torch.ones(time, batch, dtype=torch.bool, device=edges.device)
        else:
            steps = torch.arange(time, device="cpu")[:, None]
            running = (steps < check_lengths(lengths, batch, time)[None]).to(edges.device)
        wide = edges.transpose(0, 1).double().masked_fill(~running[:, :, None, None], 0.0)
        used = self.used.expand(time, batch, -1, -1).clone()
        used[:1, :, :, 0] = True  # the first step is a start, whoever may stand before a state
        return wide.masked_fill(~used, _IMPOSSIBLE), running

    def _forward_scores(self, steps: Tensor, running: Tensor) -> tuple[Tensor, Tensor]:
        """Of each step and state the sum over all paths up to it, and of all paths, as logarithms."""
        time, batch = steps.shape[:2]
        scores = steps.new_empty(time, batch, self.num_states)
        before, whole = self.before.flatten(), bool(running.all())
        score = steps[0, :, :, 0]
        scores[0] = score
        for step in range(1, time):
            reached = score.index_select(1, before).view(batch, self.num_states, self.num_slots) + steps[step]
            new = torch.logsumexp(reached, 2)
            score = new if whole else torch.where(running[step][:, None], new, score)
            scores[step] = score
        total = torch.logsumexp(score, 1)
        return scores, total.where(running[0], 0.0)

    def _backward_scores(self, steps: Tensor, running: Tensor) -> Tensor:
        """Of each step and state the sum over all paths from it to the end, as a logarithm."""
        time, batch = steps.shape[:2]
        scores = steps.new_zeros(time, batch, self.num_states)
        after, whole = self.after.flatten(), bool(running.all())
        closed = torch.zeros_like(self.after_used, dtype=steps.dtype).masked_fill(~self.after_used, _IMPOSSIBLE)
        score = scores[-1]
        for step in range(time - 1, 0, -1):
            taken = (score[:, :, None] + steps[step]).flatten(1).index_select(1, after)
            new = torch.logsumexp(taken.view(batch, *closed.shape) + closed, 2)
            score = new if whole else torch.where(running[step][:, None], new, score)
            scores[step - 1] = score
        return scores


@final
class _LogPartition(torch.autograd.Function):
    """The gradient of the log-partition is the probability of each edge, which two passes give without a graph."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, running: Tensor, chain: StepChain) -> Tensor:
        if not len(steps):
            ctx.empty = True
            ctx.save_for_backward(steps)
            return steps.new_zeros(steps.shape[1])
        scores, total = chain._forward_scores(steps, running)
        ctx.empty, ctx.chain = False, chain
        ctx.save_for_backward(steps, running, scores, total)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.empty:
            return torch.zeros_like(ctx.saved_tensors[0]), None, None
        steps, running, scores, total = ctx.saved_tensors
        chain: StepChain = ctx.chain
        rest = chain._backward_scores(steps, running)
        found = torch.zeros_like(steps)
        found[0, :, :, 0] = torch.exp(scores[0] + rest[0] - total[:, None])
        through = scores[:-1][:, :, chain.before] + steps[1:] + rest[1:, :, :, None]
        found[1:] = torch.exp(through - total[:, None, None])
        return found.masked_fill(~running[:, :, None, None], 0.0) * gradient[:, None, None], None, None
