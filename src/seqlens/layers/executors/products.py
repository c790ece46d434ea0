"""The products of one stage with its recurrent weight, a step at a time, and the one product of the weight's gradient.

What enters them is written once into a buffer of all steps, from which both products read. In bfloat16 on a CPU each
new shape of a product is compiled first, which takes longer than many products, so the sequences still running are
rounded up: the rows after them, whatever they hold, are computed too and cut off again.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Rows
from seqlens.layers.product import Product

_FEW, _MANY = 16, 64


@final
class ForwardProduct:
    """`operand @ weight.T` for the rows of one step after the other."""

    def __init__(
        self,
        weight: Float[Tensor, "rows operand"],
        mask: Float[Tensor, "batch operand"] | None,
        steps: int,
        batch_sizes: tuple[int, ...],
        state_dtype: torch.dtype,
        keep: bool,
    ) -> None:
        """`steps` are all packed ones, `keep` says whether `operands` are wanted afterwards."""
        self._weight = _Weight(weight)
        self._mask, self._keep = mask, keep
        self._lowers = weight.dtype != state_dtype
        # Without a gradient and in one dtype the operand itself enters the product.
        self._buffered = keep or self._lowers or self._weight.rounds
        rows = steps if keep else max(batch_sizes, default=0)
        self.operands = buffer_of(weight, rows if self._buffered else 0, weight.shape[1], weight.dtype)

    def __call__(self, operand: Tensor, first: int) -> Tensor:
        """The product in the dtype of the operand; `first` is the step's first packed row."""
        size = operand.shape[0]
        entering = operand if self._mask is None else operand * self._mask[:size]
        if self._buffered:
            first = first if self._keep else 0
            room = self.operands[first : first + self._weight.rounded(size)]
            room[:size].copy_(entering) if self._weight.rounds else room.copy_(entering)
            entering = room
        product = self._weight.product(entering)
        if self._weight.rounds:
            product = product[:size]
        return product.to(operand.dtype) if self._lowers else product


@final
class BackwardProduct:
    """The gradients of a stage's operand, a step at a time, and then that of its weight."""

    def __init__(
        self,
        weight: Float[Tensor, "rows operand"],
        mask: Float[Tensor, "batch operand"] | None,
        steps: int,
        state_dtype: torch.dtype,
    ) -> None:
        self._source = weight
        self._weight = _Weight(weight, transposed=True)
        self._mask, self._steps = mask, steps
        self._lowers = weight.dtype != state_dtype
        self._gradients: Tensor | None = None

    def share(self, buffer: Float[Tensor, "buffer rows"]) -> None:
        """Reads the product's gradients where those of the input part are written: they are the same."""
        self._gradients = buffer

    def write(self, gradient: Rows, first: int, size: int) -> None:
        """Writes those of one step, where they are not shared."""
        if self._gradients is None:
            rows, dtype = self._source.shape[0], self._source.dtype
            self._gradients = buffer_of(self._source, self._steps, rows, dtype)
        write(self._gradients[first : first + size], gradient)

    def operand_gradient(self, first: int, size: int, dtype: torch.dtype) -> Tensor:
        """The gradient of a step's operand in the states' dtype, from what was written."""
        assert self._gradients is not None
        found = self._weight.product(self._gradients[first : first + self._weight.rounded(size)])
        if self._weight.rounds:
            found = found[:size]
        if self._lowers:
            found = found.to(dtype)
        return found if self._mask is None else found * self._mask[:size]

    def weight_gradient(self, operands: Float[Tensor, "buffer operand"]) -> Float[Tensor, "rows operand"]:
        """One product over all steps; the buffers' last rows are zeros."""
        if self._gradients is None:
            return torch.zeros_like(self._source)
        rows = _ceil(self._steps, _MANY) if self._weight.rounds else self._steps
        return self._gradients[:rows].t() @ operands[:rows]


def write(room: Float[Tensor, "batch rows"], rows: Rows) -> None:
    """Copies rows, whole or in parts, to where they are kept."""
    if not isinstance(rows, tuple):
        room.copy_(rows)
    elif rows[0].dtype == room.dtype and room.is_contiguous():
        torch.cat(rows, dim=1, out=room)
    else:
        room.copy_(torch.cat(rows, dim=1))


def buffer_of(like: Tensor, rows: int, dim: int, dtype: torch.dtype) -> Tensor:
    """Room for rows of all steps, and in bfloat16 on a CPU for those by which they are rounded up: zeros at the end."""
    if not _rounds(like.device, dtype):
        return like.new_empty(rows, dim, dtype=dtype)
    buffer = like.new_empty(rows + _MANY, dim, dtype=dtype)
    buffer[rows:] = 0
    return buffer


@final
class _Weight:
    """A weight that stays the same for all steps, laid out once as its products read it fastest."""

    def __init__(self, weight: Tensor, *, transposed: bool = False) -> None:
        self.rounds = _rounds(weight.device, weight.dtype)
        self._packed: Product | None = None
        self._right = weight if transposed else weight.t()
        if self.rounds and weight.numel():
            left = self._right.t()
            self._packed = Product(left, left.new_zeros(left.shape[0]), torch.bfloat16)
        else:
            # A transposed operand would be laid out anew by the product of every step.
            self._right = self._right.contiguous()

    def product(self, rows: Tensor) -> Tensor:
        return rows @ self._right if self._packed is None else self._packed(rows)

    def rounded(self, rows: int) -> int:
        """Rows that a product is computed for."""
        return _ceil(rows, _FEW if rows <= _MANY else _MANY) if self.rounds else rows


def _rounds(device: torch.device, dtype: torch.dtype) -> bool:
    return dtype == torch.bfloat16 and device.type == "cpu"


def _ceil(rows: int, multiple: int) -> int:
    return -(-rows // multiple) * multiple
