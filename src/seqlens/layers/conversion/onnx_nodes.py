"""ONNX's recurrent operators (opset 14 and later), from and to, as arrays and attributes; `onnx` is not imported.

    W [directions, gates * hidden, input]   R [directions, gates * hidden, hidden]   B [directions, 2 * gates * hidden]

`B` holds the bias of the input's product, then that of the recurrent product. Gates stand as `z r h` in a GRU and as
`i o f c` in an LSTM; the peepholes of an LSTM, `P [directions, 3 * hidden]`, as `i o f`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlens.cells import Cell, CoupledLSTMCell, GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell
from seqlens.layers.conversion.onnx_attributes import read_kind
from seqlens.layers.conversion.stack import (
    Cells,
    LayerName,
    Stack,
    Weights,
    join,
    layer_name,
    read_cell,
    reorder,
    write_biases,
)

_ORDERS: dict[LayerName, tuple[str, ...]] = {
    "RNN": ("candidate",),
    "LSTM": ("input", "output", "forget", "candidate"),
    "GRU": ("update", "reset", "candidate"),
}
_THEIR_PEEPHOLES, _OUR_PEEPHOLES = ("input", "output", "forget"), ("input", "forget", "output")

Arrays = Any
"""An array or tensor, or a list of them, first layer first."""


class OnnxNode(NamedTuple):
    """One node: its operator, its attributes, and the arrays of its inputs W, R and B, and P where it has peepholes.

    The node reads `X [time, batch, input]` and gives `Y [time, directions, batch, hidden]`.
    """

    op_type: str
    attributes: dict[str, Any]
    w: NDArray[Any]
    r: NDArray[Any]
    b: NDArray[Any]
    p: NDArray[Any] | None = None


def read_onnx(
    wanted: LayerName, w: Arrays, r: Arrays, b: Arrays | None, p: Arrays | None, attributes: dict[str, Any]
) -> Stack:
    """Reads the arrays of one node, or lists of those of several, first layer first.

    Raises:
        ValueError: the shapes are not those of the operator, or an attribute cannot be expressed.
    """
    if not isinstance(w, Sequence):
        return _read_node(wanted, w, r, b, p, attributes)
    if not w:
        raise ValueError(f"{wanted}.from_onnx takes the arrays of at least one node, but W is an empty list")
    lists = [[None] * len(w) if arrays is None else list(arrays) for arrays in (w, r, b, p)]
    if len({len(arrays) for arrays in lists}) > 1:
        sizes = ", ".join(str(len(arrays)) for arrays in lists)
        raise ValueError(f"lists for several nodes must be of one length, but those for W, R, B and P have {sizes}")
    nodes = zip(lists[0], lists[1], lists[2], lists[3], strict=True)
    return join([_read_node(wanted, *arrays, attributes) for arrays in nodes])


def write_onnx(cells: Cells) -> list[OnnxNode]:
    """Describes nodes of the same function, one a layer.

    Raises:
        ValueError: ONNX has no such operator.
    """
    layer = layer_name(cells[0][0], "ONNX")
    return [_write_node(layer, directions) for directions in cells]


def _read_node(wanted: LayerName, w: Any, r: Any, b: Any, p: Any, attributes: dict[str, Any]) -> Stack:
    inputs, recurrent = _tensor(w), _tensor(r)
    hidden_dim = recurrent.shape[-1]
    rows = len(_ORDERS[wanted]) * hidden_dim
    if inputs.ndim != 3 or inputs.shape[0] not in (1, 2) or inputs.shape[1] != rows:
        raise ValueError(f"W of an ONNX {wanted} must be [1 or 2, {rows}, input], but is {list(inputs.shape)}")
    directions, _, input_dim = inputs.shape
    _check_shape(wanted, "R", recurrent, [directions, rows, hidden_dim])
    biases: list[list[Tensor]] = [[] for _ in range(directions)]
    if b is not None:
        bias = _tensor(b)
        _check_shape(wanted, "B", bias, [directions, 2 * rows])
        biases = [list(side.chunk(2)) for side in bias]
    kind = read_kind(wanted, attributes, directions, hidden_dim, peephole=p is not None)
    weights: tuple[Weights, ...] = tuple(
        read_cell(kind, _ORDERS[wanted], inputs[side], recurrent[side], biases[side]) for side in range(directions)
    )
    if p is not None:
        peepholes = _tensor(p)
        _check_shape(wanted, "P", peepholes, [directions, 3 * hidden_dim])
        for side, peephole in zip(weights, peepholes, strict=True):
            side["peephole"] = reorder(peephole, _THEIR_PEEPHOLES, _OUR_PEEPHOLES)
    return Stack(kind, input_dim, hidden_dim, (weights,))


def _write_node(layer: LayerName, directions: tuple[Cell, ...]) -> OnnxNode:
    first = directions[0]
    order = _ORDERS[layer]
    attributes: dict[str, Any] = {
        "hidden_size": first.hidden_dim,
        "direction": "bidirectional" if len(directions) == 2 else "forward",
        **_attributes(first, len(directions)),
    }
    w = [reorder(cell.input_weight, cell.gates, order) for cell in directions]
    r = [reorder(cell.recurrent_weight, cell.gates, order) for cell in directions]
    b = []
    for cell in directions:
        biases = write_biases(cell, order)
        b.append(cell.input_weight.new_zeros(2 * len(w[0])) if biases is None else torch.cat(biases))
    p = [
        reorder(cell.peephole, _OUR_PEEPHOLES, _THEIR_PEEPHOLES)
        for cell in directions
        if isinstance(cell, PeepholeLSTMCell)
    ]
    return OnnxNode(layer, attributes, _array(w), _array(r), _array(b), _array(p) if p else None)


def _attributes(cell: Cell, directions: int) -> dict[str, Any]:
    match cell:
        case GRUCell():
            return {"linear_before_reset": int(cell.reset == "after")}
        case RNNCell():
            return {"activations": [cell.activation.capitalize()] * directions}
        case LSTMCell() | PeepholeLSTMCell():
            return {}
        case CoupledLSTMCell():
            return {"input_forget": 1}
        case _:
            raise ValueError(f"ONNX has no operator that computes what a {type(cell).__name__} computes")


def _tensor(array: Any) -> Tensor:
    return array.detach() if isinstance(array, Tensor) else torch.tensor(np.asarray(array))


def _array(parts: list[Tensor]) -> NDArray[Any]:
    tensor = torch.stack(parts).detach().cpu()
    if tensor.dtype == torch.bfloat16:
        # numpy has no bfloat16; float32 holds each of its numbers.
        tensor = tensor.float()
    return tensor.numpy()


def _check_shape(wanted: LayerName, name: str, tensor: Tensor, shape: list[int]) -> None:
    if list(tensor.shape) != shape:
        raise ValueError(f"{name} of an ONNX {wanted} must be {shape}, but is {list(tensor.shape)}")
