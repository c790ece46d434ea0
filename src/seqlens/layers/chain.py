"""Sums over all paths of a linear chain: the two sweeps (forward and backward) behind a CRF, in the log domain.

Both sweeps go through one loop over time, side by side, since each waits for its own last step only. Sums are in
float64 whatever the scores are in: over 10⁴ steps they become too large for what float32 keeps of them. Forbidden is
-1e30 in here, which unlike minus infinity can be subtracted from itself; `exp` of it is 0.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from seqlens.layers.masks import check_lengths

FORBIDDEN = -1e30
_IMPOSSIBLE = FORBIDDEN / 10
_NUMBERS_AT_ONCE = 2**21


class ChainScores(NamedTuple):
    """What a path costs besides its emissions; minus infinity forbids.

    `transitions[i, j]` is the score of tag `j` after tag `i`, `start[i]` and `end[i]` those of beginning and ending
    with tag `i`.
    """

    transitions: Float[Tensor, "tags tags"]
    start: Float[Tensor, " tags"]
    end: Float[Tensor, " tags"]

    @classmethod
    def zeros(cls, num_tags: int) -> "ChainScores":
        """Scores by which every path is as good as any other: a softmax at each step."""
        return cls(torch.zeros(num_tags, num_tags), torch.zeros(num_tags), torch.zeros(num_tags))

    def wide(self, device: torch.device) -> "ChainScores":
        """The scores in float64, minus infinity as `FORBIDDEN`."""
        return ChainScores(*(part.to(device, torch.float64).clamp(min=FORBIDDEN) for part in self))


class Sorted(NamedTuple):
    """A batch as the sweeps read it: the longest sequence first, so that the rows still running are the first ones.

    `emissions [time, tags, rows]` in float64, zero at padding; `sizes[t]` is the number of rows that have step `t`;
    `reversal [rows, time]` is each row's step counted from its end; `order [rows]` is the row's place in the batch.
    """

    emissions: Float64[Tensor, "time tags rows"]
    sizes: tuple[int, ...]
    reversal: Int[Tensor, "rows time"]
    mask: Bool[Tensor, "time rows"]
    lengths: Int[Tensor, " rows"]
    order: Int[Tensor, " rows"]
    inverse: Int[Tensor, " rows"]

    @classmethod
    def of(cls, emissions: Float[Tensor, "batch time tags"], lengths: Int[Tensor, " batch"]) -> "Sorted":
        """Sorts a padded batch; padding is never read.

        Raises:
            ValueError: the lengths do not fit the batch.
        """
        device = emissions.device
        on_cpu = check_lengths(lengths, len(emissions), emissions.shape[1])
        order = torch.argsort(on_cpu, descending=True, stable=True)
        sorted_lengths = on_cpu[order]
        steps = torch.arange(int(on_cpu.max()) if len(on_cpu) else 0, device="cpu")
        running = steps[:, None] < sorted_lengths[None, :]
        reversal = (sorted_lengths[:, None] - 1 - steps[None, :]).clamp(min=0)
        mask = running.to(device)
        wide = emissions[order.to(device), : len(steps)].permute(1, 2, 0).to(torch.float64)
        wide = wide.masked_fill(~mask[:, None], 0.0).clamp(min=FORBIDDEN)
        inverse = torch.argsort(order)
        return cls(
            wide.contiguous(),
            tuple(running.sum(1).tolist()),
            reversal.to(device),
            mask,
            sorted_lengths.to(device),
            order.to(device),
            inverse.to(device),
        )

    def reverse(self, values: Float64[Tensor, "time tags rows"]) -> Float64[Tensor, "time tags rows"]:
        """The steps of every row in the opposite order; what comes at padding means nothing."""
        index = self.reversal.t()[:, None].expand(values.shape)
        return values.gather(0, index)

    def unsort(self, values: Float64[Tensor, "time tags rows"], width: int) -> Float64[Tensor, "batch width tags"]:
        """Back to a padded batch of that width, zero at padding."""
        values = values.masked_fill(~self.mask[:, None], 0.0).permute(2, 0, 1)[self.inverse]
        return torch.nn.functional.pad(values, (0, 0, 0, width - values.shape[1]))


class Lattice(NamedTuple):
    """What the sweeps found, as sums of `exp(score)` in the log domain, all sorted as `batch` is.

    `before [time, tags, rows]` sums the paths up to a step with that tag, without the step's own emission; `after`
    those from it on, likewise. `log_partition [rows]` is that of all whole paths, `FORBIDDEN` or so where none is
    allowed, and 0 for an empty sequence, whose one path is empty.
    """

    batch: Sorted
    scores: ChainScores
    before: Float64[Tensor, "time tags rows"]
    after: Float64[Tensor, "time tags rows"] | None
    log_partition: Float64[Tensor, " rows"]

    @property
    def possible(self) -> Bool[Tensor, " rows"]:
        """Whether any path is allowed."""
        return self.log_partition > _IMPOSSIBLE

    def log_partitions(self) -> Float64[Tensor, " batch"]:
        """One a sequence, in the order of the batch; minus infinity where no path is allowed."""
        found = self.log_partition.masked_fill(~self.possible, float("-inf"))
        return found[self.batch.inverse]

    def unary(self) -> Float64[Tensor, "time tags rows"]:
        """The probability of each tag at each step, 0 at padding."""
        assert self.after is not None
        log_probs = self.before + self.batch.emissions + self.after - self.log_partition
        return log_probs.exp_().masked_fill_(~(self.batch.mask & self.possible)[:, None], 0.0)

    def pairs(self, weights: Float64[Tensor, " rows"]) -> Float64[Tensor, "tags tags"]:
        """How often each transition is expected, summed over the steps and, with weights, over the rows."""
        assert self.after is not None
        num_tags, rows = self.before.shape[1:]
        total = self.before.new_zeros(num_tags, num_tags)
        left = self.before[:-1] + self.batch.emissions[:-1]
        right = (self.after + self.batch.emissions - self.log_partition)[1:]
        right = right.masked_fill(~(self.batch.mask & self.possible)[1:, None], FORBIDDEN)
        at_once = max(1, _NUMBERS_AT_ONCE // max(1, num_tags * num_tags * rows))
        for first in range(0, len(left), at_once):
            here = slice(first, first + at_once)
            shares = left[here, :, None] + right[here, None] + self.scores.transitions[:, :, None]
            total += shares.exp_().sum(0) @ weights
        return total


def sweep(batch: Sorted, scores: ChainScores, *, both: bool) -> Lattice:
    """Runs forward, and with `both` at the same time backward. `scores` are wide ones, see `ChainScores.wide`."""
    emissions = batch.emissions[:, None]
    first, transitions = scores.start[None, :, None], scores.transitions[None, :, :, None]
    if both:
        emissions = torch.stack([batch.emissions, batch.reverse(batch.emissions)], dim=1)
        first = torch.stack([scores.start, scores.end])[:, :, None]
        transitions = torch.stack([scores.transitions, scores.transitions.t()])[:, :, :, None]
    sums = _run(emissions, batch.sizes, first, transitions)
    before = sums[:, 0]
    ends = before.new_zeros(len(batch.lengths))
    if len(before):
        last = (batch.lengths - 1).clamp(min=0)[None, None, :].expand(1, *before.shape[1:])
        at_end = (before + batch.emissions).gather(0, last)[0] + scores.end[:, None]
        ends = torch.logsumexp(at_end, dim=0).masked_fill(batch.lengths == 0, 0.0)
    return Lattice(batch, scores, before, batch.reverse(sums[:, 1]) if both else None, ends)


def _run(
    emissions: Float64[Tensor, "time sweeps tags rows"],
    sizes: tuple[int, ...],
    first: Float64[Tensor, "sweeps tags 1"],
    transitions: Float64[Tensor, "sweeps tags tags 1"],
) -> Float64[Tensor, "time sweeps tags rows"]:
    """The recurrence `sums[t, j] = log Σ_i exp(sums[t-1, i] + emissions[t-1, i] + transitions[i, j])`."""
    sums = torch.zeros_like(emissions)
    state = None
    for step, size in enumerate(sizes):
        if state is None:
            found = first.expand(emissions.shape[1:])[:, :, :size]
        else:
            paths = state[:, :, None, :size] + transitions
            largest = paths.amax(1)
            found = paths.sub_(largest[:, None]).exp_().sum(1).log_().add_(largest)
        sums[step, :, :, :size] = found
        state = found + emissions[step, :, :, :size]
    return sums
