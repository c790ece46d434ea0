"""Keras' recurrent layers, from and to, without importing Keras: configs and lists of arrays."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlens.cells import Cell, CoupledLSTMCell, GRUCell, LSTMCell, RNNCell
from seqlens.layers.conversion.stack import (
    Cells,
    Kind,
    LayerName,
    Stack,
    join,
    layer_name,
    read_cell,
    reorder,
    write_biases,
)
from seqlens.layers.options import Merge

_NAMES: dict[LayerName, str] = {"RNN": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU"}
_ORDERS: dict[LayerName, tuple[str, ...]] = {
    "RNN": ("candidate",),
    "LSTM": ("input", "forget", "candidate", "output"),
    "GRU": ("update", "reset", "candidate"),
}
_MERGES: dict[Merge, str] = {"concatenate": "concat", "sum": "sum", "mean": "ave"}
# What changes the function in ways that our layers do not have. Dropout here stands elsewhere than Keras'.
_REFUSED: dict[str, str] = {
    "go_backwards": "it reads from the end alone; wrap it in Bidirectional, or turn the inputs around",
    "stateful": "it keeps its state between calls; here a state is given and returned",
    "dropout": "it drops inputs of the first layer as well; set it to 0, since it does nothing outside training",
    "recurrent_dropout": "it drops states in training; set it to 0, since it does nothing outside training",
}


class KerasLayer(NamedTuple):
    """One Keras layer of the same function, ready to be made where Keras is installed.

    `keras.layers.<name>(**arguments)` makes it, and `set_weights(weights)` fills it once it is built. With a
    `merge_mode` it goes into `keras.layers.Bidirectional` of that mode first; None for one direction.
    """

    name: str
    arguments: dict[str, Any]
    weights: list[NDArray[Any]]
    merge_mode: str | None


def read_keras(wanted: LayerName, theirs: object) -> Stack:
    """Reads a Keras layer, a Bidirectional one, or a list of them from the first to the last.

    Raises:
        ValueError: it is something else than the layer `wanted`, or set to something that seqlens cannot express.
    """
    layers = list(theirs) if isinstance(theirs, Sequence) else [theirs]
    if not layers:
        raise ValueError(f"{wanted}.from_keras takes a Keras layer or a list of them, but the list is empty")
    return join([_read_layer(wanted, layer) for layer in layers])


def write_keras(cells: Cells, merge: Merge) -> list[KerasLayer]:
    """Describes Keras layers of the same function, one a layer.

    Raises:
        ValueError: Keras has no such layer.
    """
    layer = layer_name(cells[0][0], "Keras")
    return [_write_layer(layer, directions, _MERGES[merge]) for directions in cells]


def _read_layer(wanted: LayerName, layer: Any) -> Stack:
    if type(layer).__name__ != "Bidirectional":
        return _read_direction(wanted, layer, backward=False)
    merge = next((ours for ours, keras_name in _MERGES.items() if keras_name == layer.merge_mode), None)
    if merge is None:
        raise ValueError(f"Keras' merge_mode={layer.merge_mode!r} cannot be expressed: 'concat', 'sum' and 'ave' can")
    forward = _read_direction(wanted, layer.forward_layer, backward=False)
    backward = _read_direction(wanted, layer.backward_layer, backward=True)
    alike = [(side.kind, side.hidden_dim, side.bias) for side in (forward, backward)]
    if alike[0] != alike[1]:
        raise ValueError("the two layers of a Keras Bidirectional must be alike: units, biases, `reset_after`")
    return replace(forward, weights=((*forward.weights[0], *backward.weights[0]),), merge=merge)


def _read_direction(wanted: LayerName, layer: Any, *, backward: bool) -> Stack:
    name = type(layer).__name__
    if name != _NAMES[wanted]:
        other = next((other for other, keras_name in _NAMES.items() if keras_name == name), None)
        advice = f": use {other}.from_keras" if other else ""
        raise ValueError(f"{wanted}.from_keras takes a Keras {_NAMES[wanted]}, but was given {name}{advice}")
    config = layer.get_config()
    kind = _read_kind(wanted, config, backward=backward)
    arrays = [torch.tensor(np.asarray(array)) for array in layer.get_weights()]
    if not arrays:
        raise ValueError(f"the Keras {name} has no weights yet: build it, or call it once on an input")
    kernel, recurrent = arrays[0], arrays[1]
    biases = [bias for given in arrays[2:] for bias in (given.unbind(0) if given.ndim == 2 else (given,))]
    weights = read_cell(kind, _ORDERS[wanted], kernel.t(), recurrent.t(), biases)
    return Stack(kind, kernel.shape[0], recurrent.shape[0], ((weights,),))


def _read_kind(wanted: LayerName, config: dict[str, Any], *, backward: bool) -> Kind:
    """The cell that a Keras config asks for; refuses what cannot be said."""
    for argument, reason in _REFUSED.items():
        expected = argument == "go_backwards" and backward
        if bool(config.get(argument)) != expected:
            raise ValueError(f"Keras' {argument}={config.get(argument)!r} cannot be expressed: {reason}")
    _check_activation(wanted, config, "activation", ("tanh", "relu") if wanted == "RNN" else ("tanh",))
    if wanted == "RNN":
        return "rnn_relu" if config["activation"] == "relu" else "rnn"
    _check_activation(wanted, config, "recurrent_activation", ("sigmoid",))
    if wanted == "LSTM":
        return "lstm"
    return "gru_after" if config["reset_after"] else "gru"


def _check_activation(wanted: LayerName, config: dict[str, Any], argument: str, allowed: tuple[str, ...]) -> None:
    found = config[argument]
    if found not in allowed:
        choices = " or ".join(repr(name) for name in allowed)
        raise ValueError(f"Keras' {argument}={found!r} cannot be expressed: {wanted} has {choices} there")


def _write_layer(layer: LayerName, directions: tuple[Cell, ...], merge_mode: str) -> KerasLayer:
    first = directions[0]
    arguments: dict[str, Any] = {
        "units": first.hidden_dim,
        "use_bias": first.bias is not None,
        "return_sequences": True,
        "dtype": str(first.input_weight.dtype).removeprefix("torch."),
    }
    match first:
        case GRUCell():
            arguments["reset_after"] = first.reset == "after"
        case RNNCell():
            arguments["activation"] = first.activation
        case LSTMCell() | CoupledLSTMCell():
            pass
        case _:
            raise ValueError(f"Keras has no layer that computes what a {type(first).__name__} computes")
    arrays = [_array(tensor) for cell in directions for tensor in _write_cell(layer, cell)]
    return KerasLayer(_NAMES[layer], arguments, arrays, merge_mode if len(directions) == 2 else None)


def _write_cell(layer: LayerName, cell: Cell) -> list[Tensor]:
    order = _ORDERS[layer]
    written = [reorder(weight, cell.gates, order).t() for weight in (cell.input_weight, cell.recurrent_weight)]
    biases = write_biases(cell, order)
    if biases is not None:
        resets_after = isinstance(cell, GRUCell) and cell.reset == "after"
        written.append(torch.stack(biases) if resets_after else biases[0])
    return written


def _array(tensor: Tensor) -> NDArray[Any]:
    if tensor.dtype == torch.bfloat16:
        # numpy has no bfloat16; float32 holds each of its numbers.
        tensor = tensor.float()
    return tensor.detach().cpu().contiguous().numpy().copy()
