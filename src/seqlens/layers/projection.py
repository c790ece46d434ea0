"""A linear layer that meets few different shapes.

In bfloat16 on a CPU every new shape of a matrix product is compiled first, which takes longer than the product, and
batches of sentences have a new number of tokens each. So rows are rounded up to a multiple of 64, and the zeros that
are added are cut off again.
"""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqlens.layers.product import outer_sum, rows_product

ROW_MULTIPLE = 64


@final
class Projection(nn.Linear):
    """`inputs @ weight.T + bias`, the same as `nn.Linear` up to the order of its sums."""

    def forward(self, inputs: Float[Tensor, "*lead input_dim"]) -> Float[Tensor, "*lead output_dim"]:
        return linear(inputs, self.weight, self.bias)


def linear(
    inputs: Float[Tensor, "*lead input_dim"],
    weight: Float[Tensor, "output_dim input_dim"],
    bias: Float[Tensor, " output_dim"] | None,
) -> Float[Tensor, "*lead output_dim"]:
    """`nn.functional.linear` that meets few different shapes, and has the fastest products in float32."""
    if inputs.dtype == torch.float32 == weight.dtype and _runs_as_it_is(inputs):
        found: Tensor = _FastLinear.apply(inputs, weight, bias)
        return found
    if not rounds_rows(inputs) or inputs.dtype == torch.float64:
        return nn.functional.linear(inputs, weight, bias)
    outputs: Tensor = _RoundedLinear.apply(inputs, weight, weight.new_zeros(len(weight)) if bias is None else bias)
    return outputs


def rounds_rows(inputs: Tensor) -> bool:
    """Whether products of `inputs` are compiled anew for every number of rows: bfloat16 on a CPU."""
    if inputs.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return False


def _runs_as_it_is(inputs: Tensor) -> bool:
    """Whether on a CPU, neither cast nor traced."""
    kind = inputs.device.type
    return kind == "cpu" and not torch.is_autocast_enabled(kind) and not torch.compiler.is_compiling()


def rounded_rows(values: Float[Tensor, "rows dim"]) -> Float[Tensor, "rounded dim"]:
    """The rows in bfloat16 with rows of zeros after them, up to a multiple of 64."""
    rows, dim = values.shape
    rounded = -(-rows // ROW_MULTIPLE) * ROW_MULTIPLE
    if rounded == rows:
        return values.to(torch.bfloat16)
    low = values.new_empty(rounded, dim, dtype=torch.bfloat16)
    low[:rows] = values
    low[rows:] = 0
    return low


class _FastLinear(torch.autograd.Function):
    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        outputs = rows_product(inputs.flatten(0, -2), weight, bias)
        return outputs.view(*inputs.shape[:-1], len(weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        rows, flat = gradient.flatten(0, -2), inputs.flatten(0, -2)
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            # For a second derivative, in operators that have one.
            below, of_weight = rows @ weight, rows.t() @ flat
        else:
            below = rows_product(rows, weight.t()) if wanted[0] else None
            of_weight = outer_sum(rows, flat) if wanted[1] else None
        return (
            None if below is None else below.view(inputs.shape),
            of_weight,
            rows.sum(0) if wanted[2] else None,
        )


class _RoundedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        low, low_weight = rounded_rows(inputs.flatten(0, -2)), weight.to(torch.bfloat16)
        ctx.save_for_backward(low, low_weight)
        ctx.shape, ctx.dtypes = inputs.shape, (inputs.dtype, weight.dtype, bias.dtype)
        outputs = torch.addmm(bias.to(torch.bfloat16), low, low_weight.t())
        return outputs[: inputs.numel() // inputs.shape[-1]].view(*inputs.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low, low_weight = ctx.saved_tensors
        input_dtype, weight_dtype, bias_dtype = ctx.dtypes
        gradient = gradient.flatten(0, -2)
        low_gradient = rounded_rows(gradient)
        inputs = (low_gradient @ low_weight)[: len(gradient)].view(ctx.shape)
        return (
            inputs.to(input_dtype),
            (low_gradient.t() @ low).to(weight_dtype),
            low_gradient.sum(0, dtype=torch.float32).to(bias_dtype),
        )
