"""The products of one stage with its recurrent weight, a step at a time, and the one product of the weight's gradient.

In bfloat16 on a CPU each new shape of a product is compiled first, which takes longer than many products, so the
sequences still running are rounded up: the rows after them, whatever they hold, are computed too and cut off again.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Rows, StageGradient
from seqlens.layers.product import Product, StepProduct, outer_sum

_FEW, _MANY = 16, 64


@final
class StateRooms:
    """Where the hidden state of every step is written once: outputs, and operands of the next step's product.

    The buffer holds the state before the first step and then that of every packed step, in the dtype of the outputs.
    """

    def __init__(self, initial: Tensor, sizes: tuple[int, ...], like: Tensor, *, lowers: bool) -> None:
        """`like` is a weight: the outputs have its dtype; `lowers` says that the states do not."""
        self._sizes = sizes
        self._rounds = rounds(like.device, like.dtype)
        self._first = sizes[0] if sizes else 0
        steps = sum(sizes)
        self.buffer = buffer_of(like, self._first + steps, initial.shape[1], like.dtype)
        self.outputs = self.buffer[self._first : self._first + steps]
        self._rooms = self.buffer[: self._first + steps].split((self._first, *sizes))
        if sizes:
            self._rooms[0].copy_(initial[: self._first])
        self._lowers = lowers
        self._offset = 0

    def operand(self, step: int) -> Tensor:
        """The rows that the product of a step reads: hidden states, and where rows are rounded up, whatever follows."""
        size = self._sizes[step]
        if self._rounds:
            first = self._offset
            return self.buffer[first : first + rounded(size)]
        room = self._rooms[step]
        return room if room.shape[0] == size else room[:size]

    def write(self, step: int, hidden: Tensor) -> Tensor:
        """Keeps the hidden state after a step, and returns it as the next step reads it."""
        self._offset += self._rooms[step].shape[0]
        room = self._rooms[step + 1]
        room.copy_(hidden)
        return hidden if self._lowers else room


def operands_of(buffer: Float[Tensor, "buffer hidden"], sizes: tuple[int, ...]) -> Float[Tensor, "rows hidden"]:
    """From a buffer of states, what entered the product of every step: row by row with the product's gradients."""
    steps, first = sum(sizes), sizes[0] if sizes else 0
    if not sizes or sizes[-1] == first:
        return buffer[: _ceil(steps, _MANY) if rounds(buffer.device, buffer.dtype) else steps]
    rooms = buffer[: first + steps].split((first, *sizes))[:-1]
    found = buffer_of(buffer, steps, buffer.shape[1], buffer.dtype)
    torch.cat([room[:size] for room, size in zip(rooms, sizes, strict=True)], out=found[:steps])
    return found


@final
class ForwardProduct:
    """`operand @ weight.T` for the rows of one step after the other."""

    def __init__(
        self,
        weight: Float[Tensor, "rows operand"],
        mask: Float[Tensor, "batch operand"] | None,
        batch_sizes: tuple[int, ...],
        state_dtype: torch.dtype,
        keep: bool,
    ) -> None:
        """`keep` says whether `operands` are wanted afterwards."""
        self._weight = _Weight(weight, len(batch_sizes))
        self._mask, self._keep = mask, keep
        self._lowers = weight.dtype != state_dtype
        self._sizes = batch_sizes
        self._like = weight
        self._first = 0
        # Without a gradient and in one dtype the operand itself enters the product.
        self._buffered = keep or self._lowers or self._weight.rounds
        self._room: Tensor | None = None

    @property
    def operands(self) -> Float[Tensor, "buffer operand"] | None:
        """What was multiplied, if it was written here."""
        return self._room if self._keep else None

    def of_room(self, room: Tensor, size: int, dtype: torch.dtype) -> Tensor:
        """The product of rows that lie in a buffer of states already, in the states' dtype."""
        product = self._weight.product(room)
        if self._weight.rounds:
            product = product[:size]
        return product.to(dtype) if self._lowers else product

    def __call__(self, operand: Tensor) -> Tensor:
        """The product in the dtype of the operand."""
        size = operand.shape[0]
        entering = operand if self._mask is None else operand * self._mask[:size]
        if not self._buffered:
            return self._weight.product(entering)
        if self._room is None:
            rows = sum(self._sizes) if self._keep else max(self._sizes)
            self._room = buffer_of(self._like, rows, self._like.shape[1], self._like.dtype)
        room = self._room[self._first : self._first + self._weight.rounded(size)]
        room[:size].copy_(entering) if self._weight.rounds else room.copy_(entering)
        if self._keep:
            self._first += size
        return self.of_room(room, size, operand.dtype)


@final
class BackwardProduct:
    """The gradients of a stage's operand, a step at a time, and then that of its weight."""

    def __init__(
        self,
        weight: Float[Tensor, "rows operand"],
        mask: Float[Tensor, "batch operand"] | None,
        batch_sizes: tuple[int, ...],
        state_dtype: torch.dtype,
    ) -> None:
        self._source = weight
        self._weight = _Weight(weight, len(batch_sizes), transposed=True)
        self._mask, self._state_dtype = mask, state_dtype
        self._lowers = weight.dtype != state_dtype
        self._sizes = batch_sizes
        self._buffer: Tensor | None = None
        self._rooms: tuple[Tensor, ...] = ()
        self._first = sum(batch_sizes)

    @property
    def gradients(self) -> Float[Tensor, "steps rows"]:
        """Those of the product, of all steps."""
        return self._all[: sum(self._sizes)]

    def operand_gradient(self, gradient: Rows, step: int) -> Tensor:
        """Keeps that of a step's product; returns that of its operand, in the states' dtype."""
        if self._buffer is None:
            self._rooms = self._all[: self._first].split(self._sizes)
        room = self._rooms[step]
        write(room, gradient)
        if self._weight.rounds:
            size = self._sizes[step]
            self._first -= size
            found = self._weight.product(self._all[self._first : self._first + self._weight.rounded(size)])[:size]
        else:
            found = self._weight.product(room)
        if self._lowers:
            found = found.to(self._state_dtype)
        return found if self._mask is None else found * self._mask[: found.shape[0]]

    def weight_gradient(self, operands: Float[Tensor, "buffer operand"] | None) -> Float[Tensor, "rows operand"]:
        """One product over all steps; the buffers' last rows are zeros. Without steps there are no operands."""
        if self._buffer is None or operands is None:
            return torch.zeros_like(self._source)
        steps = sum(self._sizes)
        rows = _ceil(steps, _MANY) if self._weight.rounds else steps
        return outer_sum(self._all[:rows], operands[:rows])

    @property
    def _all(self) -> Tensor:
        if self._buffer is None:
            self._buffer = buffer_of(self._source, sum(self._sizes), self._source.shape[0], self._source.dtype)
        return self._buffer


@final
class InputRooms:
    """Where the gradients of a stage's input part are written, if they are not those of its product."""

    def __init__(self, batch_sizes: tuple[int, ...], dtype: torch.dtype, product_dtype: torch.dtype) -> None:
        self._sizes, self._dtype = batch_sizes, dtype
        self._may_share = dtype == product_dtype
        self._shared = False
        self._buffer: Tensor | None = None
        self._rooms: tuple[Tensor, ...] = ()

    def write(self, result: StageGradient, step: int) -> None:
        """Keeps those of one step."""
        if self._may_share and result.product is result.input_part:
            self._shared = True
            return
        if self._buffer is None:
            rows = result.input_part
            parts = rows if isinstance(rows, tuple) else (rows,)
            width = sum(part.shape[1] for part in parts)
            self._buffer = parts[0].new_empty(sum(self._sizes), width, dtype=self._dtype)
            self._rooms = self._buffer.split(self._sizes)
        if self._buffer.shape[1]:
            write(self._rooms[step], result.input_part)

    def gradients(self, product: "BackwardProduct") -> Float[Tensor, "steps rows"] | None:
        """Those of all steps; None where there are none."""
        if self._shared:
            return product.gradients
        return self._buffer if self._buffer is not None and self._buffer.shape[1] else None


def write(room: Float[Tensor, "batch rows"], rows: Rows) -> None:
    """Copies rows, whole or in parts, to where they are kept."""
    if not isinstance(rows, tuple):
        room.copy_(rows)
    elif rows[0].dtype == room.dtype:
        torch.cat(rows, dim=1, out=room)
    else:
        room.copy_(torch.cat(rows, dim=1))


def buffer_of(like: Tensor, rows: int, dim: int, dtype: torch.dtype) -> Tensor:
    """Room for rows of all steps, and in bfloat16 on a CPU for those by which they are rounded up: zeros at the end."""
    if not rounds(like.device, dtype):
        return like.new_empty(rows, dim, dtype=dtype)
    buffer = like.new_empty(rows + _MANY, dim, dtype=dtype)
    buffer[rows:] = 0
    return buffer


@final
class _Weight:
    """A weight that stays the same for all steps, laid out once as its products read it fastest."""

    def __init__(self, weight: Tensor, times: int, *, transposed: bool = False) -> None:
        left = weight.t() if transposed else weight
        self.rounds = rounds(weight.device, weight.dtype)
        self.product: Product | StepProduct
        if self.rounds and weight.numel():
            self.product = Product(left, left.new_zeros(left.shape[0]), torch.bfloat16)
        else:
            self.product = StepProduct(left, times)

    def rounded(self, rows: int) -> int:
        """Rows that a product is computed for."""
        return rounded(rows) if self.rounds else rows


def rounds(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether products of this dtype are compiled anew for every number of rows."""
    return dtype == torch.bfloat16 and device.type == "cpu"


def rounded(rows: int) -> int:
    """Where they are, the rows that a product is computed for."""
    return _ceil(rows, _FEW if rows <= _MANY else _MANY)


def _ceil(rows: int, multiple: int) -> int:
    return -(-rows // multiple) * multiple
