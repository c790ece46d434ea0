"""Dropout (Srivastava et al. 2014), and its fusions with what stands beside it.

On a CPU torch draws one Bernoulli number after the other, which took a quarter of a Transformer's training step. Here
sixteen random bits are compared with a threshold for each entry: `p` is rounded to a multiple of 1/65536, and the scale
of what is kept is that of the rounded `p`.
"""

from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

_LEVELS = 2**16
_SEEDS = 2**62


@final
class Dropout(nn.Module):
    """Zeroes entries with probability `p` in training and scales the others by `1 / (1 - p)`."""

    def __init__(self, p: float = 0.0) -> None:
        """Raises ValueError if `p` is not in [0, 1)."""
        super().__init__()
        self.p = check_probability(p)

    def forward(self, inputs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return dropout(inputs, self.p, training=self.training)

    def add(self, residual: Float[Tensor, "*shape"], branch: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """`residual + dropout(branch)`, in the residual's dtype."""
        if not (self.training and self.p > 0):
            return residual + branch.to(residual.dtype)
        if not _draws_bits(branch):
            return residual + torch.dropout(branch, self.p, train=True)
        added: Tensor = _DropoutAdd.apply(residual, branch, self.p)
        return added

    def relu(self, inputs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """`dropout(relu(inputs))`; only the result is kept for the backward pass."""
        if not (self.training and self.p > 0):
            return torch.relu(inputs)
        if not _draws_bits(inputs):
            return torch.dropout(torch.relu(inputs), self.p, train=True)
        outputs: Tensor = _ReluDropout.apply(inputs, self.p)
        return outputs

    def extra_repr(self) -> str:
        return f"p={self.p}"


def check_probability(p: float) -> float:
    """The probability, if it is one that entries may be dropped with.

    Raises:
        ValueError: it is not in [0, 1).
    """
    if not 0 <= p < 1:
        raise ValueError(f"a dropout probability must be at least 0 and below 1, but is {p}")
    return p


def dropout(inputs: Float[Tensor, "*shape"], p: float, *, training: bool) -> Float[Tensor, "*shape"]:
    """The inputs themselves where nothing is dropped."""
    if not training or p == 0:
        return inputs
    if not _draws_bits(inputs):
        return torch.dropout(inputs, p, train=True)
    outputs: Tensor = _Dropout.apply(inputs, p)
    return outputs


def keep_mask(like: Float[Tensor, "*shape"], p: float) -> tuple[Float[Tensor, "*shape"], float]:
    """Ones where an entry of `like` is kept and zeros elsewhere, in its dtype, and the scale of what is kept.

    The bits come from a generator of its own, which torch's global one seeds.
    """
    dropped = min(round(p * _LEVELS), _LEVELS - 1)
    seed = int(torch.randint(_SEEDS, (), device="cpu"))
    words = np.random.SFC64(seed).random_raw(-(-like.numel() // 4))
    bits = torch.from_numpy(words.view(np.int16))[: like.numel()].view(like.shape)
    mask = torch.empty(like.shape, dtype=like.dtype, device="cpu")
    torch.ge(bits, dropped - _LEVELS // 2, out=mask)
    return mask, _LEVELS / (_LEVELS - dropped)


def _draws_bits(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, p: float) -> Tensor:
        mask, ctx.scale = keep_mask(inputs, p)
        ctx.save_for_backward(mask)
        return (inputs * mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradient * mask * ctx.scale, None


class _DropoutAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, branch: Tensor, p: float) -> Tensor:
        mask, ctx.scale = keep_mask(branch, p)
        ctx.save_for_backward(mask)
        if residual.dtype == branch.dtype:
            return torch.addcmul(residual, branch, mask, value=ctx.scale)
        # An operation on two dtypes would leave its vectorised loop.
        return torch.add(residual, (branch * mask).to(residual.dtype), alpha=ctx.scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradient, gradient.to(mask.dtype) * mask * ctx.scale, None


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, p: float) -> Tensor:
        mask, ctx.scale = keep_mask(inputs, p)
        outputs = torch.relu(inputs).mul_(mask).mul_(ctx.scale)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (outputs,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient, outputs, 0) * ctx.scale, None
