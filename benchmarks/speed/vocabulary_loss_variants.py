"""The two losses on the same inputs. As a script it measures one of them: `VARIANT ROWS VOCAB DIM` prints bytes."""

import gc
import sys
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from benchmarks.speed.memory import peak_bytes, reset_peak, resident_bytes
from seqlens.layers.vocabulary_loss import vocabulary_loss

TOLERANCE = 1e-5
_FLOAT32_BYTES = 4


@final
@dataclass(frozen=True, slots=True)
class Size:
    """Rows of features, entries of the vocabulary, width of a feature."""

    rows: int
    vocab: int
    dim: int

    @property
    def logits_bytes(self) -> int:
        return self.rows * self.vocab * _FLOAT32_BYTES

    @property
    def gradient_bytes(self) -> int:
        """Gradients of features, weight and bias: what any implementation must hand back."""
        return (self.rows * self.dim + self.vocab * self.dim + self.vocab) * _FLOAT32_BYTES

    def __str__(self) -> str:
        return f"{self.rows:,} rows × {self.vocab:,} vocabulary × {self.dim} wide"


class Inputs(NamedTuple):
    """What both losses read; the first three want gradients."""

    features: Float[Tensor, "rows dim"]
    weight: Float[Tensor, "vocab dim"]
    bias: Float[Tensor, " vocab"]
    targets: Int[Tensor, " rows"]


class LossAndGradients(NamedTuple):
    """What both losses give."""

    loss: Float[Tensor, ""]
    features: Float[Tensor, "rows dim"]
    weight: Float[Tensor, "vocab dim"]
    bias: Float[Tensor, " vocab"]


def make_inputs(size: Size) -> Inputs:
    """Random ones with logits of variance 1, always the same."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(size.rows, size.dim, generator=random)
    weight = torch.randn(size.vocab, size.dim, generator=random) * size.dim**-0.5
    bias = 0.1 * torch.randn(size.vocab, generator=random)
    targets = torch.randint(size.vocab, (size.rows,), generator=random)
    return Inputs(features.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets)


def run_fused(inputs: Inputs, label_smoothing: float) -> LossAndGradients:
    """The loss of seqlens, and its backward."""
    loss = vocabulary_loss(*inputs, label_smoothing=label_smoothing).total
    return LossAndGradients(loss.detach(), *torch.autograd.grad(loss, inputs[:3]))


def run_plain(inputs: Inputs, label_smoothing: float) -> LossAndGradients:
    """Logits, then torch's cross-entropy of them, and its backward."""
    logits = functional.linear(inputs.features, inputs.weight, inputs.bias)
    loss = functional.cross_entropy(logits, inputs.targets, reduction="sum", label_smoothing=label_smoothing)
    del logits
    return LossAndGradients(loss.detach(), *torch.autograd.grad(loss, inputs[:3]))


def assert_equal(size: Size) -> float:
    """Compares the two and returns the largest difference, as a share of the tensor's largest entry.

    Raises:
        AssertionError: it is above 1e-5.
    """
    inputs = make_inputs(size)
    worst = 0.0
    for smoothing in (0.0, 0.1):
        fused, plain = run_fused(inputs, smoothing), run_plain(inputs, smoothing)
        for name, ours, theirs in zip(LossAndGradients._fields, fused, plain, strict=True):
            difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
            if not difference <= TOLERANCE:
                raise AssertionError(f"{size}, smoothing {smoothing}: `{name}` differs by {difference:.1e}")
            worst = max(worst, difference)
    return worst


def extra_memory(variant: str, size: Size) -> int:
    """Bytes at the peak of forward and backward above what was resident before; for a fresh process."""
    run = {"fused": run_fused, "plain": run_plain}[variant]
    # Threads, libraries and their buffers are there before anything is counted.
    run(make_inputs(Size(rows=256, vocab=512, dim=size.dim)), 0.1)
    inputs = make_inputs(size)
    gc.collect()
    before = resident_bytes()
    reset_peak()
    run(inputs, 0.1)
    return peak_bytes() - before


if __name__ == "__main__":
    sys.stdout.write(f"{extra_memory(sys.argv[1], Size(*map(int, sys.argv[2:])))}\n")
