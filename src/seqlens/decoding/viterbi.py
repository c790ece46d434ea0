"""The best path of a linear chain (Viterbi 1967)."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from seqlens.layers.chain import FORBIDDEN, ChainScores, Sorted


class BestPaths(NamedTuple):
    """`tags [batch, time]`, 0 at padding, and the score of each path; 0 for an empty one."""

    tags: Int[Tensor, "batch time"]
    scores: Float64[Tensor, " batch"]


@torch.no_grad()
def viterbi(
    emissions: Float[Tensor, "batch time tags"], lengths: Int[Tensor, " batch"], scores: ChainScores
) -> BestPaths:
    """The path with the highest score of each sequence; of equal ones that whose last differing tag has the lower id.

    A path that is not allowed is only found where none is, and its score is then minus infinity.

    Raises:
        ValueError: the lengths do not fit the batch.
    """
    batch = Sorted.of(emissions, lengths)
    scores = scores.wide(emissions.device)
    time, num_tags, rows = batch.emissions.shape
    # Where a row has ended, its state stays: a pointer to itself.
    itself = torch.arange(num_tags, device=emissions.device)[:, None].expand(num_tags, rows)
    pointers = itself.expand(max(time - 1, 0), num_tags, rows).clone()
    state = batch.emissions.new_zeros(num_tags, rows)
    for step, size in enumerate(batch.sizes):
        if step == 0:
            state[:, :size] = scores.start[:, None] + batch.emissions[0, :, :size]
        else:
            paths = state[:, None, :size] + scores.transitions[:, :, None]
            best = paths.max(0)
            pointers[step - 1, :, :size] = best.indices
            state[:, :size] = best.values + batch.emissions[step, :, :size]
    final = (state + scores.end[:, None]).max(0)
    tags = torch.zeros(time, rows, dtype=torch.int64, device=emissions.device)
    tag = final.indices
    for step in range(time - 1, -1, -1):
        tags[step] = tag
        if step:
            tag = pointers[step - 1].gather(0, tag[None])[0]
    tags = tags.masked_fill(~batch.mask, 0).t()[batch.inverse]
    totals = final.values.masked_fill(batch.lengths == 0, 0.0)
    totals = totals.masked_fill(totals < FORBIDDEN / 10, float("-inf"))
    padded = torch.nn.functional.pad(tags, (0, emissions.shape[1] - time))
    return BestPaths(padded, totals[batch.inverse])
