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
    """The gradients of a stage's two summands and of its operand, a step at a time, and then that of its weight."""

    def __init__(
        self,
        weight: Float[Tensor, "rows operand"],
        mask: Float[Tensor, "batch operand"] | None,
        batch_sizes: tuple[int, ...],
        dtypes: tuple[torch.dtype, torch.dtype],
    ) -> None:
        """`dtypes` are those of the input part and of the states."""
        self._source = weight
        self._weight = _Weight(weight, len(batch_sizes), transposed=True)
        self._mask = mask
        input_dtype, self._state_dtype = dtypes
        self._may_share = input_dtype == weight.dtype
        self._steps = sum(batch_sizes)
        self._inputs = _Rooms(weight, batch_sizes, input_dtype)
        self._own = _Rooms(weight, batch_sizes, weight.dtype)
        self._shared = 0
        self._scratch: Tensor | None = None

    def operand_gradient(self, result: StageGradient, step: int) -> Tensor:
        """Keeps what a stage's backward returned for a step; returns the gradient of the operand."""
        inputs, product = _parts(result.input_part), _parts(result.product)
        self._shared = _leading(inputs, product) if self._may_share else 0
        size = product[0].shape[0]
        self._inputs.write(inputs, step)
        if self._shared == len(product):
            room = self._inputs.room(step, self._weight.rounded(size))
        else:
            # Parts that both summands have in common are kept once.
            self._own.write(product[self._shared :], step)
            rows = self._weight.rounded(size)
            room = self._together(product, rows) if self._shared else self._own.room(step, rows)
        found = self._weight.product(room)
        if self._weight.rounds:
            found = found[:size]
        if found.dtype != self._state_dtype:
            found = found.to(self._state_dtype)
        return found if self._mask is None else found * self._mask[:size]

    def input_gradient(self) -> Float[Tensor, "steps rows"] | None:
        """That of the input part, of all steps; None for a stage without gates."""
        found = self._inputs.buffer
        return None if found is None or not found.shape[1] else found[: self._steps]

    def weight_gradient(self, operands: Float[Tensor, "buffer operand"] | None) -> Float[Tensor, "rows operand"]:
        """One product over all steps; the buffers' last rows are zeros. Without steps there are no operands."""
        if operands is None or self._inputs.buffer is None:
            return torch.zeros_like(self._source)
        rows = _ceil(self._steps, _MANY) if self._weight.rounds else self._steps
        own = self._own.buffer
        others = self._source.shape[0] - (0 if own is None else own.shape[1])
        parts = [] if not others else [outer_sum(self._inputs.buffer[:rows, :others], operands[:rows])]
        if own is not None:
            parts.append(outer_sum(own[:rows], operands[:rows]))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _together(self, parts: tuple[Tensor, ...], rows: int) -> Tensor:
        if self._scratch is None or self._scratch.shape[0] < rows:
            self._scratch = self._source.new_zeros(rows, self._source.shape[0])
        write(self._scratch[: parts[0].shape[0]], parts)
        return self._scratch[:rows]


@final
class _Rooms:
    """Rows of all steps in one buffer, made when the first are written."""

    def __init__(self, like: Tensor, batch_sizes: tuple[int, ...], dtype: torch.dtype) -> None:
        self._like, self._sizes, self._dtype = like, batch_sizes, dtype
        self._rounds = rounds(like.device, dtype)
        self._first = sum(batch_sizes)
        self._rooms: tuple[Tensor, ...] = ()
        self.buffer: Tensor | None = None

    def write(self, parts: tuple[Tensor, ...], step: int) -> None:
        """Keeps the rows of a step, which come from the last to the first."""
        if self.buffer is None:
            steps, width = sum(self._sizes), sum(part.shape[1] for part in parts)
            self.buffer = buffer_of(self._like, steps, width, self._dtype)
            self._rooms = self.buffer[:steps].split(self._sizes)
        self._first -= self._sizes[step]
        if self.buffer.shape[1]:
            write(self._rooms[step], parts)

    def room(self, step: int, rows: int) -> Tensor:
        """Those of the step written last, rounded up to so many."""
        if not self._rounds:
            return self._rooms[step]
        assert self.buffer is not None
        return self.buffer[self._first : self._first + rows]


def _parts(rows: Rows) -> tuple[Tensor, ...]:
    return rows if isinstance(rows, tuple) else (rows,)


def _leading(some: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> int:
    """How many parts at the beginning are the very same."""
    count = 0
    for one, other in zip(some, others, strict=False):
        if one is not other:
            break
        count += 1
    return count


def write(room: Float[Tensor, "batch rows"], parts: tuple[Tensor, ...]) -> None:
    """Copies rows, which come in parts that stand side by side, to where they are kept."""
    if len(parts) == 1:
        room.copy_(parts[0])
    elif parts[0].dtype == room.dtype:
        torch.cat(parts, dim=1, out=room)
    else:
        room.copy_(torch.cat(parts, dim=1))


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
