"""A recurrent stack on its way from another library, in the layout of seqlens, and what all conversions share.

Three things differ between libraries: the order of the gates in the rows, the sense of a GRU's update gate, and
where biases stand. torch, Keras and ONNX let the update gate keep the old state; here it lets the new one in, and
since σ(-a) = 1 - σ(a) its rows change sign, on the way in and on the way out. torch and ONNX add two biases, one
beside each product; here they are one, but for the candidate of a GRU that resets after the product.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from seqlens.cells import Cell, CoupledLSTMCell, GRUCell, LSTMCell, PeepholeLSTMCell, ProjectedLSTMCell, RNNCell
from seqlens.layers.options import Merge

LayerName = Literal["RNN", "LSTM", "GRU"]

Weights = dict[str, Tensor]
"""The parameters of one cell by their names in seqlens: `input_weight`, `recurrent_weight`, `bias`, ..."""

Cells = tuple[tuple[Cell, ...], ...]
"""The cells of a stack: layer by layer, the forward one and maybe the backward one."""

Kind = Literal["rnn", "rnn_relu", "lstm", "lstm_peephole", "lstm_coupled", "lstm_projected", "gru", "gru_after"]
"""The kinds of cells that another library has."""

_GATES: dict[Kind, tuple[str, ...]] = {
    "rnn": RNNCell.gates,
    "rnn_relu": RNNCell.gates,
    "lstm": LSTMCell.gates,
    "lstm_peephole": PeepholeLSTMCell.gates,
    "lstm_coupled": CoupledLSTMCell.gates,
    "lstm_projected": ProjectedLSTMCell.gates,
    "gru": GRUCell.gates,
    "gru_after": GRUCell.gates,
}


@dataclass(frozen=True, slots=True)
class Stack:
    """What was read from another library.

    `weights` are by layer, then by direction; `cell_dim` is that of a projected LSTM, where `hidden_dim` is what
    comes out; `merge` is what becomes of two directions; `frozen` names the tensors that take no gradient, as `named`.
    """

    kind: Kind
    input_dim: int
    hidden_dim: int
    weights: tuple[tuple[Weights, ...], ...]
    cell_dim: int | None = None
    merge: Merge = "concatenate"
    dropout_p: float = 0.0
    training: bool = True
    frozen: frozenset[str] = frozenset()

    @property
    def bidirectional(self) -> bool:
        return len(self.weights[0]) == 2

    @property
    def bias(self) -> bool:
        return "bias" in self.weights[0][0]

    def named(self) -> dict[str, Tensor]:
        """Every tensor by its name in the state dict of a layer."""
        return {
            f"layers.{number}.{direction}_cell.{name}": tensor
            for number, directions in enumerate(self.weights)
            for direction, weights in zip(("forward", "backward"), directions, strict=False)
            for name, tensor in weights.items()
        }


def layer_name(cell: Cell, library: str) -> LayerName:
    """What other libraries call the layer of a cell.

    Raises:
        ValueError: they have none.
    """
    match cell:
        case RNNCell():
            return "RNN"
        case LSTMCell() | PeepholeLSTMCell() | CoupledLSTMCell() | ProjectedLSTMCell():
            return "LSTM"
        case GRUCell():
            return "GRU"
        case _:
            raise ValueError(f"{library} has no layer that computes what a {type(cell).__name__} computes")


def join(stacks: Sequence[Stack]) -> Stack:
    """Layers that were read one by one as one stack, the first reading the inputs.

    Raises:
        ValueError: they do not fit on each other.
    """
    first = stacks[0]
    for number, stack in enumerate(stacks[1:], start=2):
        if _described(stack) != _described(first):
            raise ValueError(
                f"layers of one stack must be of one kind and size, with or without biases alike, but layer {number}"
                f" is {_described(stack)} and layer 1 is {_described(first)}"
            )
        outputs = first.hidden_dim * (2 if first.bidirectional and first.merge == "concatenate" else 1)
        if stack.input_dim != outputs:
            raise ValueError(f"layer {number} reads vectors of {stack.input_dim}, but the one below gives {outputs}")
    return replace(first, weights=tuple(directions for stack in stacks for directions in stack.weights))


def reorder(rows: Tensor, given: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """Rows `[gates * dim, ...]` in another order of the gates; those of the update gate change sign.

    Where a forget gate is wanted of an LSTM that has none, it is the opposite of the input gate: 1 - σ(a) = σ(-a).
    """
    blocks = dict(zip(given, rows.chunk(len(given)), strict=True))
    if "forget" in wanted and "forget" not in blocks:
        blocks["forget"] = -blocks["input"]
    return torch.cat([-blocks[gate] if gate == "update" else blocks[gate] for gate in wanted])


def read_cell(
    kind: Kind, order: Sequence[str], input_rows: Tensor, recurrent_rows: Tensor, biases: Sequence[Tensor]
) -> Weights:
    """One cell's weights out of another library's.

    Args:
        kind: which cell it is.
        order: the gates in the order of the other library's rows.
        input_rows: `[gates * dim, input_dim]`.
        recurrent_rows: `[gates * dim, hidden_dim]`.
        biases: none, that of both products together, or that of the input's and that of the recurrent product.
    """
    gates = _GATES[kind]
    weights = {
        "input_weight": reorder(input_rows, order, gates),
        "recurrent_weight": reorder(recurrent_rows, order, gates),
    }
    if not biases:
        return weights
    ours = [reorder(bias, order, gates) for bias in biases]
    weights["bias"] = torch.stack(ours).sum(0)
    if kind == "gru_after":
        # Here the reset gate multiplies the recurrent bias too, so that of the candidate stays apart.
        dim = weights["bias"].shape[0] // len(gates)
        weights["bias"][-dim:] = ours[0][-dim:]
        weights["candidate_bias"] = ours[1][-dim:].clone()
    return weights


def write_biases(cell: Cell, order: Sequence[str]) -> tuple[Tensor, Tensor] | None:
    """A cell's biases as two, that of the input's product and that of the recurrent one; None if it has none."""
    if cell.bias is None:
        return None
    recurrent = cell.recurrent_bias
    if recurrent is None:
        recurrent = torch.zeros_like(cell.bias)
    return reorder(cell.bias, cell.gates, order), reorder(recurrent, cell.gates, order)


def _described(stack: Stack) -> str:
    directions = f"two directions ({stack.merge})" if stack.bidirectional else "one direction"
    biases = "with" if stack.bias else "without"
    return f"{stack.kind} of {stack.hidden_dim} in {directions} {biases} biases"
