"""Positions for models that have no order of their own."""

import math
from typing import Literal, assert_never, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.errors import check_choice

PositionKind = Literal["sinusoidal", "learned"]
"""Positions that are added to embeddings; rotary ones are a part of the attention, see `rotate`."""


@final
class SinusoidalPositions(nn.Module):
    """Sines and cosines of wave lengths from 2π to 20,000π (Vaswani et al. 2017, section 3.5); any length."""

    def __init__(self, model_dim: int) -> None:
        super().__init__()
        self.model_dim = model_dim
        self.max_length: int | None = None

    def forward(self, start: int, count: int, like: Tensor) -> Float[Tensor, "count dim"]:
        """Positions `start` to `start + count` on the device and in the dtype of `like`."""
        position = torch.arange(start, start + count, dtype=torch.float32, device=like.device)[:, None]
        half = torch.arange(0, self.model_dim, 2, dtype=torch.float32, device=like.device)
        angle = position * torch.exp(half * (-math.log(10_000.0) / self.model_dim))
        table = torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)
        return table[:, : self.model_dim].to(like.dtype)


@final
class LearnedPositions(nn.Module):
    """One learned vector a position, up to `max_length`."""

    def __init__(self, model_dim: int, max_length: int) -> None:
        super().__init__()
        self.max_length: int | None = max_length
        self.table = nn.Parameter(torch.empty(max_length, model_dim))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, start: int, count: int, like: Tensor) -> Float[Tensor, "count dim"]:
        """Positions `start` to `start + count`.

        Raises:
            ValueError: a position beyond `max_length`.
        """
        if start + count > len(self.table):
            raise ValueError(f"learned positions reach {len(self.table)} steps, but the sequence has {start + count}")
        return self.table[start : start + count].to(like.dtype)


def rotate(heads: Float[Tensor, "batch heads time head_dim"], start: int) -> Float[Tensor, "batch heads time head_dim"]:
    """Turns the vectors of positions from `start` on: `q · k` then depends on how far apart they are (Su et al. 2021).

    Entries `i` and `i + head_dim / 2` are a pair, turned by `position * 10,000^(-2i / head_dim)` (equation 34, but for
    the order of the entries, which is free as the weights before them are learnt).
    """
    half = heads.shape[3] // 2
    wide = torch.promote_types(heads.dtype, torch.float32)
    position = torch.arange(start, start + heads.shape[2], dtype=wide, device=heads.device)[:, None]
    place = torch.arange(half, dtype=wide, device=heads.device)
    angle = position * torch.exp(place * (-math.log(10_000.0) / half))
    cosine, sine = angle.cos().to(heads.dtype), angle.sin().to(heads.dtype)
    first, second = heads.split(half, dim=3)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=3)


def build_positions(kind: PositionKind, model_dim: int, max_length: int) -> SinusoidalPositions | LearnedPositions:
    """Builds the named positions; only learned ones heed `max_length`."""
    check_choice("positions", kind, get_args(PositionKind))
    match kind:
        case "sinusoidal":
            return SinusoidalPositions(model_dim)
        case "learned":
            return LearnedPositions(model_dim, max_length)
        case _:
            assert_never(kind)
