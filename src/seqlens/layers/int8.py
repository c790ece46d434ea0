"""Products of 8-bit integers on a CPU, for rows that leave a layer norm.

A row that leaves a norm has entries whose squares sum to their number, so its range is known before it comes: no row is
looked through for its largest entry, and what is computed of one row does not depend on the rows beside it. The norm's
own scale and shift go into the weight and the bias; a weight has a scale for each output. Sums are those of integers,
which are exact in any order.

torch compiles quantised models to the same operators; they take the rows unsigned and the weight signed.
"""

from functools import cache
from typing import final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from seqlens.layers.processor import has_unit

LARGEST = 8.0
"""Standard deviations that an entry may be away from its row's mean; those further away are cut, and they are rare."""
_MIDDLE = 128  # of unsigned rows, which stands for 0
_STEP_OF_ONE = 1 / 255  # of unsigned entries from 0 to 1


@cache
def has_int8_products(device_type: str) -> bool:
    """Whether products of 8-bit integers are faster here than any others, by units of the processor, and right."""
    if device_type != "cpu" or not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        return False
    # Without such units sums of products would be cut to 16 bits.
    if not _has_units():
        return False
    rows = torch.arange(256, dtype=torch.uint8).view(8, 32)
    weight = torch.arange(-127, 129).clamp(max=127).view(32, 8).t().to(torch.int8)
    try:
        product = _Int8Weight(weight, torch.full((8,), 0.5), torch.ones(8))
        found, positive = product(rows, 0.25, _MIDDLE), product(rows, 0.25, _MIDDLE, relu_step=16.0)
    except RuntimeError:  # of a torch that wants the arguments in another way
        return False
    expected = (rows.to(torch.int64) - _MIDDLE) @ weight.to(torch.int64).t() * 0.125 + 1
    near = (positive - (expected / 16).clamp(0, 255)).abs() <= 0.5
    return bool((found == expected).all()) and bool(near.all())


def _has_units() -> bool:
    units = {
        "amx_int8": "_is_amx_tile_supported",
        "avx512_vnni": "_is_vnni_supported",
        "avx_vnni": "_is_vnni_supported",
    }
    return any(has_unit(name, older=older) for name, older in units.items())


@final
class NormedProduct:
    """`x W^T + b` in float32, for rows `x` that a norm gave."""

    def __init__(self, norm: nn.LayerNorm, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"]) -> None:
        self._rows = _NormedRows(norm)
        scaled, bias = self._rows.take_over(weight, bias)
        self._weight = _Int8Weight(*_rounded(scaled), bias)

    def __call__(self, rows: Float[Tensor, "rows in"]) -> Float[Tensor, "rows out"]:
        return self._weight(self._rows(rows), self._rows.step, _MIDDLE)


@final
class NormedFeedForward:
    """`W_2 relu(W_1 x + b_1) + b_2` in float32 for rows `x` that a norm gave, of integers in its middle too.

    The middle's range is known from its weights: an entry is as many times their length away from its bias as the row
    has standard deviations in their direction, and `LARGEST` of them are enough here too.
    """

    def __init__(self, norm: nn.LayerNorm, up: nn.Linear, down: nn.Linear) -> None:
        self._rows = _NormedRows(norm)
        weight, bias = self._rows.take_over(up.weight, up.bias)
        reach = bias.clamp(min=0) + min(LARGEST, self._rows.dim**0.5) * weight.norm(dim=1)
        reach = torch.where(reach > 0, reach, 1.0)
        rounded, scale = _rounded(weight)
        # `relu(a x) = a relu(x)`: the range of each entry goes from this weight into the next.
        self._up = _Int8Weight(rounded, scale / reach, bias / reach)
        self._down = _Int8Weight(*_rounded(down.weight.detach().float() * reach), down.bias.detach())

    def __call__(self, rows: Float[Tensor, "rows in"]) -> Float[Tensor, "rows out"]:
        middle = self._up(self._rows(rows), self._rows.step, _MIDDLE, relu_step=_STEP_OF_ONE)
        return self._down(middle, _STEP_OF_ONE, 0)


class _NormedRows:
    """Rows that a norm gave, as 8-bit integers of what they were before its scale and shift."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.dim = norm.normalized_shape[0]
        reach = min(LARGEST, self.dim**0.5)
        self.step = reach / 127
        self._cuts = reach < self.dim**0.5
        weight, self._shift = norm.weight.detach().float(), norm.bias.detach().float()
        # What hardly differs from its shift is nothing but its shift.
        self._scale = torch.where(weight.abs() > (1e-4 * self._shift.abs()).clamp(min=1e-20), weight, 0.0)
        self._factor = torch.where(self._scale == 0, 0.0, 1 / (self._scale * self.step))
        # The half rounds what the cast cuts.
        self._offset = _MIDDLE + 0.5 - self._shift * self._factor

    def take_over(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The weight and bias for rows without the norm's scale and shift."""
        weight = weight.detach().float()
        return weight * self._scale, bias.detach().float() + weight @ self._shift

    def __call__(self, rows: Float[Tensor, "rows in"]) -> UInt8[Tensor, "rows in"]:
        steps = torch.addcmul(self._offset, rows, self._factor)
        return (steps.clamp_(1, 255) if self._cuts else steps).to(torch.uint8)


class _Int8Weight:
    """A weight of 8-bit integers, packed, its scales and its bias."""

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor) -> None:
        self._packed = torch.ops.onednn.qlinear_prepack(weight.contiguous(), [64, weight.shape[1]])
        self._scale, self._bias = scale.float(), bias.float()
        self._zeros = torch.zeros(len(scale), dtype=torch.int32)

    def __call__(self, rows: Tensor, step: float, zero: int, *, relu_step: float | None = None) -> Tensor:
        """The product in float32, or `relu` of it as unsigned integers of this step, more than 255 cut."""
        out_dtype = torch.float32 if relu_step is None else torch.uint8
        if not len(rows):
            return torch.empty(0, len(self._scale), dtype=out_dtype)
        found: Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, step, zero, self._packed, self._scale, self._zeros, self._bias, relu_step or 1.0, 0, out_dtype,
            "none" if relu_step is None else "relu", [], "",
        )  # fmt: skip
        return found


def _rounded(weight: Float[Tensor, "out in"]) -> tuple[Tensor, Tensor]:
    """8-bit integers, and the scale of each row of them."""
    largest = weight.abs().amax(dim=1)
    scale = torch.where(largest == 0, 1.0, largest / 127)
    return (weight / scale[:, None]).round().to(torch.int8), scale
