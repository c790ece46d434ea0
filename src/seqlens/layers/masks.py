"""Masks from lengths, and the one softmax that knows them. True = keep, everywhere."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def length_mask(
    lengths: Int[Tensor, " batch"], time: int, device: torch.device | None = None
) -> Bool[Tensor, "batch time"]:
    """True at the first `lengths[b]` steps of each row.

    Raises:
        ValueError: a length is below 0 or above `time`.
    """
    if not torch.compiler.is_compiling():
        check_lengths(lengths, len(lengths), time)
    return (torch.arange(time, device="cpu")[None, :] < lengths.cpu()[:, None]).to(device)


def check_lengths(lengths: Int[Tensor, "*any"], batch_size: int, time: int) -> Int[Tensor, " batch"]:
    """The lengths on the CPU, if they fit a batch of so many sequences and steps.

    Raises:
        ValueError: they do not.
    """
    # Fractions would be cut off and a mask of true values counted as ones, both in silence.
    if not isinstance(lengths, Tensor) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        found = str(lengths.dtype) if isinstance(lengths, Tensor) else f"a {type(lengths).__name__}"
        raise ValueError(f"`lengths` must be a tensor of whole numbers, one per sequence, but is {found}")
    lengths = lengths.detach().to("cpu", torch.int64)
    if lengths.shape != (batch_size,):
        raise ValueError(
            f"`lengths` must be one whole number per sequence, [{batch_size}], but is {tuple(lengths.shape)}"
        )
    if batch_size and (int(lengths.min()) < 0 or int(lengths.max()) > time):
        found = f"from {int(lengths.min())} to {int(lengths.max())}"
        raise ValueError(f"`lengths` must lie between 0 and the {time} time steps of the batch, but run {found}")
    return lengths


def zero_padding(
    values: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time dim"]:
    """Replaces what stands at padding by zeros, before any product: NaN there would survive a mask of weights."""
    return values.masked_fill(~mask[:, :, None], 0.0)


def for_products(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values in autocast's dtype where it is on: converted once here, and not by every product that reads them.

    Autocast leaves float64 alone, and so does this.
    """
    kind = values.device.type
    is_converted = torch.is_autocast_enabled(kind) and values.dtype != torch.float64
    return values.to(torch.get_autocast_dtype(kind)) if is_converted else values


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
