"""The linear-chain conditional random field (Lafferty et al. 2001): tags of a sequence are judged together.

    score(tags) = start[tags_1] + Σ_t emissions[t, tags_t] + Σ_t transitions[tags_{t-1}, tags_t] + end[tags_T]
    P(tags) = exp(score(tags)) / Z,  Z = Σ over all paths

The best path is `seqlens.decoding.viterbi`'s.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor, nn

from seqlens.layers.chain import ChainScores, Lattice, Sorted, sweep
from seqlens.layers.constants import ConstantsModule
from seqlens.layers.masks import length_mask


class Segment(NamedTuple):
    """A stretch of one sequence: its tags from the step `start` on, and tags that must not come right after it."""

    row: int
    start: int
    tags: tuple[int, ...]
    not_followed_by: tuple[int, ...] = ()


@final
class LinearChainCRF(ConstantsModule):
    """Scores of transitions, learned, and what they make of emissions. Padding is never read.

    `allowed_transitions[i, j]` says whether tag `j` may follow tag `i`, `allowed_start` and `allowed_end` with which
    tags a sequence may begin and end; None allows all. An emission of minus infinity forbids a tag at one step.
    """

    allowed_transitions: Bool[Tensor, "tags tags"]
    allowed_start: Bool[Tensor, " tags"]
    allowed_end: Bool[Tensor, " tags"]

    def __init__(
        self,
        num_tags: int,
        *,
        allowed_transitions: Bool[Tensor, "tags tags"] | None = None,
        allowed_start: Bool[Tensor, " tags"] | None = None,
        allowed_end: Bool[Tensor, " tags"] | None = None,
    ) -> None:
        """Raises ValueError if a mask is not of `num_tags` tags."""
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"`num_tags` must be at least 1, but is {num_tags}")
        self.num_tags = num_tags
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        self.start = nn.Parameter(torch.empty(num_tags))
        self.end = nn.Parameter(torch.empty(num_tags))
        for name, allowed, shape in (
            ("allowed_transitions", allowed_transitions, (num_tags, num_tags)),
            ("allowed_start", allowed_start, (num_tags,)),
            ("allowed_end", allowed_end, (num_tags,)),
        ):
            mask = torch.ones(shape, dtype=torch.bool, device="cpu") if allowed is None else allowed.bool()
            if mask.shape != shape:
                raise ValueError(f"`{name}` must be {list(shape)}, but is {list(mask.shape)}")
            self.register_constant(name, mask)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small random scores."""
        with torch.no_grad():
            for part in (self.transitions, self.start, self.end):
                part.uniform_(-0.1, 0.1)

    def scores(self) -> ChainScores:
        """The learned scores, minus infinity where something is not allowed."""
        lowest = float("-inf")
        return ChainScores(
            self.transitions.masked_fill(~self.allowed_transitions, lowest),
            self.start.masked_fill(~self.allowed_start, lowest),
            self.end.masked_fill(~self.allowed_end, lowest),
        )

    def forward(
        self,
        emissions: Float[Tensor, "batch time tags"],
        lengths: Int[Tensor, " batch"],
        tags: Int[Tensor, "batch time"],
    ) -> Float64[Tensor, " batch"]:
        """The negative log-likelihood of each sequence's tags; infinite for tags that are not allowed."""
        scores = self.scores()
        total, own = log_partition(emissions, lengths, scores), path_score(emissions, lengths, tags, scores)
        # Where no path at all is allowed, both are minus infinity.
        return torch.where(own == -torch.inf, torch.inf, total - own)

    def log_partition(
        self, emissions: Float[Tensor, "batch time tags"], lengths: Int[Tensor, " batch"]
    ) -> Float64[Tensor, " batch"]:
        """`log Z` of each sequence, see the function of that name."""
        return log_partition(emissions, lengths, self.scores())

    def marginals(
        self, emissions: Float[Tensor, "batch time tags"], lengths: Int[Tensor, " batch"]
    ) -> Float64[Tensor, "batch time tags"]:
        """The probability of each tag at each step, without gradient, see the function of that name."""
        return marginals(emissions, lengths, self.scores())

    def extra_repr(self) -> str:
        forbidden = int((~self.allowed_transitions).sum())
        return f"{self.num_tags}, forbidden_transitions={forbidden}"


def log_partition(
    emissions: Float[Tensor, "batch time tags"], lengths: Int[Tensor, " batch"], scores: ChainScores
) -> Float64[Tensor, " batch"]:
    """`log Z` of each sequence: 0 for an empty one, minus infinity where no path is allowed.

    Its gradient is what the paths are expected to hold, so it is written down from the two sweeps and takes no loop of
    its own.

    Raises:
        ValueError: the lengths do not fit the batch.
    """
    return _LogPartition.apply(emissions, lengths, *scores, torch.is_grad_enabled())


def path_score(
    emissions: Float[Tensor, "batch time tags"],
    lengths: Int[Tensor, " batch"],
    tags: Int[Tensor, "batch time"],
    scores: ChainScores,
) -> Float64[Tensor, " batch"]:
    """The score of each sequence's tags; 0 for an empty one. What `tags` holds at padding is not read."""
    batch, time = emissions.shape[:2]
    if not time:
        return emissions.new_zeros(batch, dtype=torch.float64)
    mask = length_mask(lengths, time, emissions.device)
    scores = ChainScores(*(part.to(emissions.device) for part in scores))
    tags = tags.masked_fill(~mask, 0)
    emitted = emissions.gather(2, tags[:, :, None])[:, :, 0].to(torch.float64).masked_fill(~mask, 0.0).sum(1)
    moved = scores.transitions.to(torch.float64)[tags[:, :-1], tags[:, 1:]].masked_fill(~mask[:, 1:], 0.0).sum(1)
    last = tags.gather(1, (lengths.to(tags.device, torch.int64) - 1).clamp(min=0)[:, None])[:, 0]
    ends = scores.start.to(torch.float64)[tags[:, 0]] + scores.end.to(torch.float64)[last]
    return emitted + moved + ends.masked_fill(~mask[:, 0], 0.0)


@torch.no_grad()
def marginals(
    emissions: Float[Tensor, "batch time tags"], lengths: Int[Tensor, " batch"], scores: ChainScores
) -> Float64[Tensor, "batch time tags"]:
    """The probability of each tag at each step, over all paths: a row sums to 1, at padding to 0.

    Where no path is allowed all are 0.

    Raises:
        ValueError: the lengths do not fit the batch.
    """
    lattice = _lattice(emissions, lengths, scores)
    return lattice.batch.unsort(lattice.unary(), emissions.shape[1])


@torch.no_grad()
def segment_probabilities(
    emissions: Float[Tensor, "batch time tags"],
    lengths: Int[Tensor, " batch"],
    scores: ChainScores,
    segments: Sequence[Segment],
) -> list[float]:
    """The probability of each stretch of tags over all paths: what a CRF knows of a whole entity or region.

    That of tags with different ones after them is the tags' own, less that of the tags with each of
    `not_followed_by` after them.

    Raises:
        ValueError: the lengths do not fit the batch.
    """
    if not segments:
        return []
    lattice = _lattice(emissions, lengths, scores)
    inverse = lattice.batch.inverse.tolist()
    limits = lattice.batch.lengths.tolist()
    found = []
    for segment in segments:
        row, stop = inverse[segment.row], segment.start + len(segment.tags)
        probability = _segment(lattice, row, segment.start, segment.tags)
        if stop < limits[row]:
            for tag in segment.not_followed_by:
                probability -= _segment(lattice, row, segment.start, (*segment.tags, tag))
        found.append(min(max(probability, 0.0), 1.0))
    return found


def _segment(lattice: Lattice, row: int, start: int, tags: tuple[int, ...]) -> float:
    assert lattice.after is not None
    if not bool(lattice.possible[row]):
        return 0.0
    path = torch.tensor(tags, device=lattice.before.device)
    steps = torch.arange(start, start + len(tags), device=path.device)
    score = lattice.batch.emissions[steps, path, row].sum() + lattice.scores.transitions[path[:-1], path[1:]].sum()
    score = score + lattice.before[start, path[0], row] + lattice.after[start + len(tags) - 1, path[-1], row]
    return float((score - lattice.log_partition[row]).exp())


def _lattice(emissions: Tensor, lengths: Tensor, scores: ChainScores) -> Lattice:
    return sweep(Sorted.of(emissions, lengths), scores.wide(emissions.device), both=True)


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, lengths: Tensor, transitions: Tensor, start: Tensor, end: Tensor, keep: bool
    ) -> Tensor:
        scores = ChainScores(transitions, start, end).wide(emissions.device)
        # The backward sweep costs no second loop here, and then there is none in the backward pass.
        lattice = sweep(Sorted.of(emissions, lengths), scores, both=keep)
        ctx.lattice = lattice if keep else None
        ctx.time = emissions.shape[1]
        ctx.dtypes = [part.dtype for part in (emissions, transitions, start, end)]
        return lattice.log_partitions()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("`log_partition` has no second derivative")
        lattice: Lattice = ctx.lattice
        batch = lattice.batch
        weights = gradients[0].to(torch.float64)[batch.order]
        unary = lattice.unary() * weights
        of_emissions, of_transitions, of_start, of_end = ctx.dtypes
        pairs = lattice.pairs(weights).to(of_transitions) if ctx.needs_input_grad[2] else None
        first = last = unary.new_zeros(unary.shape[1])
        if len(unary):
            first = unary[0].sum(1)
            index = (batch.lengths - 1).clamp(min=0)[None, None, :].expand(1, *unary.shape[1:])
            last = unary.gather(0, index)[0].sum(1)
        found = batch.unsort(unary, ctx.time).to(of_emissions)
        return found, None, pairs, first.to(of_start), last.to(of_end), None
