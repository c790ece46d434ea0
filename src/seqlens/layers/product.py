"""`x W^T`: with a weight that does not change any more, copied once as the processor reads it fastest; and at once.

torch gives the products of float32 on a CPU to MKL, which on processors that are not Intel's reaches half of what
oneDNN does, and on Intel's no more than it. oneDNN's call costs some ten microseconds, so small products stay with MKL.
"""

from functools import cache
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

_FROM_MULTIPLICATIONS = 2**19
_ROWS_AT_A_TIME = 1024


@final
class Product:
    """`x W^T + b`, or `relu` of it, in the dtype of `W` whatever that of `x`.

    On a CPU with oneDNN the weight is packed by the operators that torch's own compiler uses for frozen weights: about
    half the time of `torch.nn.functional.linear` for a hundred rows in bfloat16, a tenth to a half less in float32.
    """

    def __init__(self, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.out_dim = weight.shape[0]
        self._weight = weight.detach().to(dtype)
        self._bias = bias.detach().to(dtype)
        self.packed = _has_kernels(weight.device.type, dtype)
        if self.packed:
            # The rows expected at a time only choose among layouts; any number may come.
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight.contiguous(), 64)

    def __call__(self, inputs: Float[Tensor, "rows in"], *, relu: bool = False) -> Float[Tensor, "rows out"]:
        inputs = inputs.to(self.dtype)
        if not self.packed:
            outputs = nn.functional.linear(inputs, self._weight, self._bias)
            return outputs.relu_() if relu else outputs
        if not len(inputs):
            return inputs.new_empty(0, self.out_dim)
        found: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._weight, self._bias, "relu" if relu else "none", [], ""
        )
        return found


@final
class StepProduct:
    """`x W^T` for a few rows again and again: small products by MKL, others by oneDNN with the weight packed once."""

    def __init__(self, weight: Float[Tensor, "out in"], times: int) -> None:
        """`times` says about how often: packing pays from a few on."""
        self._weight = weight
        self._kernels = has_fast_products(weight)
        self._packs = times >= 4
        self._right: Tensor | None = None
        self._packed: Tensor | None = None

    def __call__(self, inputs: Float[Tensor, "rows in"]) -> Float[Tensor, "rows out"]:
        if inputs.shape[0] == 1:
            # The weight is read once, in any layout at the speed of memory.
            return torch.mm(inputs, self._weight.t())
        if self._kernels and not is_small(inputs.shape[0], self._weight):
            if self._packed is None:
                # Of a transposed weight packing would take ten times as long.
                self._packed = self._weight.contiguous()
                if self._packs:
                    self._packed = torch.ops.mkldnn._reorder_linear_weight(self._packed, inputs.shape[0])
            found: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._packed, None, "none", [], "")
            return found
        if self._right is None:
            # A transposed operand would be laid out anew by every product.
            self._right = self._weight.t().contiguous()
        return torch.mm(inputs, self._right)


def rows_product(
    rows: Float[Tensor, "rows in"], weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None = None
) -> Float[Tensor, "rows out"]:
    """`rows @ weight.T + bias`, once; not differentiable."""
    if not has_fast_products(rows) or is_small(rows.shape[0], weight):
        return nn.functional.linear(rows, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(_dense(rows), _dense(weight), bias, "none", [], "")
    return found


def outer_sum(left: Float[Tensor, "rows out"], right: Float[Tensor, "rows in"]) -> Float[Tensor, "out in"]:
    """`left.T @ right`, the gradient of a weight, once; not differentiable."""
    if not has_fast_products(left) or is_small(right.shape[1], left):
        return left.t() @ right
    if left.shape[1] > right.shape[1]:
        return outer_sum(right, left).t()
    found: Tensor | None = None
    # The first operand is turned round before the product, which is cheap for the narrower one, in pieces.
    for some, others in zip(left.split(_ROWS_AT_A_TIME), right.split(_ROWS_AT_A_TIME), strict=True):
        part = rows_product(some.t(), others.t())
        found = part if found is None else found.add_(part)
    assert found is not None
    return found


def is_small(rows: int, weight: Tensor) -> bool:
    """Whether so many rows times a weight are so small a product that MKL computes it at least as fast."""
    return rows == 1 or rows * weight.numel() <= _FROM_MULTIPLICATIONS


def _dense(matrix: Tensor) -> Tensor:
    """Itself, or a copy where it is dense neither by rows nor by columns: oneDNN has no fast kernel for others."""
    return matrix if matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()


def has_fast_products(matrix: Tensor) -> bool:
    """Whether `rows_product` and `outer_sum` are more than torch's own for such a matrix: float32 on a CPU."""
    return matrix.dtype == torch.float32 and _has_kernels(matrix.device.type, matrix.dtype)


@cache
def _has_kernels(device_type: str, dtype: torch.dtype) -> bool:
    if device_type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    operators = torch.ops.mkldnn
    if not (hasattr(operators, "_reorder_linear_weight") and hasattr(operators, "_linear_pointwise")):
        return False
    if dtype == torch.bfloat16:
        return hasattr(operators, "_is_mkldnn_bf16_supported") and bool(operators._is_mkldnn_bf16_supported())
    return dtype == torch.float32
