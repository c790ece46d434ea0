"""Relative positions: a learned number for each head and distance, added to attention's scores."""

import math
from typing import final

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn


@final
class RelativeBias(nn.Module):
    """Biases of scores by distance (Raffel et al. 2020, section 2.1), one number for a head and a bucket of distances.

    Half of the buckets are for keys up to the query, half for later ones. Of each half, the first half holds one
    distance a bucket, the rest ever more, up to `max_distance`; whatever is farther shares the last bucket. So any
    length can be read. They start at zero: training starts from attention without positions. Vectors for each distance
    (Shaw et al. 2018) would need a product of their own, which a fused kernel does not have.
    """

    def __init__(self, num_heads: int, *, num_buckets: int = 32, max_distance: int = 128) -> None:
        """Raises ValueError unless buckets are a multiple of 4 and reach beyond the distances that have their own."""
        super().__init__()
        if num_buckets < 4 or num_buckets % 4 or max_distance <= num_buckets // 4:
            found = f"num_buckets={num_buckets}, max_distance={max_distance}"
            raise ValueError(f"`num_buckets` must be a multiple of 4 and `max_distance` above its quarter, but {found}")
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.weight = nn.Parameter(torch.zeros(num_heads, num_buckets))

    def forward(
        self, positions: Num[Tensor, "*lead queries"], key_positions: Int[Tensor, " keys"]
    ) -> Float[Tensor, "heads *lead queries keys"]:
        """Biases of every query over every key; positions that are not whole are rounded."""
        distance = key_positions - positions.round().long()[..., None]
        return self.weight[:, self.bucket(distance)]

    def bucket(self, distance: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The bucket of each distance, key minus query."""
        half = self.num_buckets // 2
        single = half // 2
        far = distance.abs()
        share = (far.clamp(min=single).double() / single).log() / math.log(self.max_distance / single)
        shared = single + (share * (half - single)).long()
        return torch.where(far < single, far, shared.clamp(max=half - 1)) + half * (distance > 0)
