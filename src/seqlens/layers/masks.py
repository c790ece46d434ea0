"""Masks from lengths, and the one softmax that knows them. True = keep, everywhere."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def length_mask(
    lengths: Int[Tensor, " batch"], time: int, device: torch.device | None = None
) -> Bool[Tensor, "batch time"]:
    """True at the first `lengths[b]` steps of each row."""
    return (torch.arange(time)[None, :] < lengths.cpu()[:, None]).to(device)


def zero_padding(
    values: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time dim"]:
    """Replaces what stands at padding by zeros, before any product: NaN there would survive a mask of weights."""
    return values.masked_fill(~mask[:, :, None], 0.0)


def masked_softmax(
    scores: Float[Tensor, "*lead keys"], mask: Bool[Tensor, "*#lead keys"] | None
) -> Float[Tensor, "*lead keys"]:
    """Softmax over the last axis in float32 or wider; masked keys get exactly 0, and so does a row without any key."""
    wide = scores if scores.dtype == torch.float64 else scores.float()
    if mask is None:
        return torch.softmax(wide, dim=-1)
    lowest = torch.finfo(wide.dtype).min
    weights = torch.softmax(wide.masked_fill(~mask, lowest), dim=-1)
    return weights.masked_fill(~mask, 0.0)
