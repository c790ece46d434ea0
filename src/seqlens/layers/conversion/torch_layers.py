"""torch's recurrent layers, from and to."""

from typing import Any

import torch
from torch import Tensor, nn

from seqlens.cells import Cell, CoupledLSTMCell, GRUCell, LSTMCell, ProjectedLSTMCell, RNNCell
from seqlens.layers.conversion.stack import (
    Cells,
    Kind,
    LayerName,
    Stack,
    Weights,
    layer_name,
    read_cell,
    reorder,
    write_biases,
)

_LAYERS: dict[LayerName, type[nn.RNNBase]] = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
_CELLS: dict[LayerName, type[nn.RNNCellBase]] = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
_ORDERS: dict[LayerName, tuple[str, ...]] = {
    "RNN": ("candidate",),
    "LSTM": ("input", "forget", "candidate", "output"),
    "GRU": ("reset", "update", "candidate"),
}

# Which of torch's parameters each of ours comes from.
_SOURCES: dict[str, tuple[str, ...]] = {
    "input_weight": ("weight_ih",),
    "recurrent_weight": ("weight_hh",),
    "bias": ("bias_ih", "bias_hh"),
    "candidate_bias": ("bias_hh",),
    "projection_weight": ("weight_hr",),
}


def read_torch(wanted: LayerName, theirs: nn.Module) -> Stack:
    """Reads one of torch's layers, or one of its cells as a layer of one direction.

    Raises:
        ValueError: it is something else than the layer `wanted`.
    """
    kind = next((name for name in _LAYERS if isinstance(theirs, (_LAYERS[name], _CELLS[name]))), None)
    if kind != wanted:
        found = type(theirs).__name__
        advice = f": use {kind}.from_torch" if kind else ""
        raise ValueError(f"{wanted}.from_torch takes nn.{wanted} or nn.{wanted}Cell, but was given {found}{advice}")
    # A module answers for its attributes with `Tensor | Module`, so they are read untyped.
    module: Any = theirs
    single = isinstance(theirs, nn.RNNCellBase)
    suffixes = ("",) if single else ("", "_reverse")[: 2 if module.bidirectional else 1]
    cell = _kind(wanted, module)
    weights = tuple(
        tuple(_read_cell(wanted, cell, module, suffix if single else f"_l{number}{suffix}") for suffix in suffixes)
        for number in range(1 if single else module.num_layers)
    )
    projected = cell == "lstm_projected"
    return Stack(
        cell,
        module.input_size,
        module.proj_size if projected else module.hidden_size,
        weights,
        cell_dim=module.hidden_size if projected else None,
        dropout_p=0.0 if single else float(module.dropout),
        training=theirs.training,
        frozen=frozenset(
            f"layers.{number}.{direction}_cell.{name}"
            for number, sides in enumerate(weights)
            for direction, suffix, own in zip(("forward", "backward"), suffixes, sides, strict=False)
            for name in own
            if not _takes_gradient(module, name, suffix if single else f"_l{number}{suffix}")
        ),
    )


def write_torch(cells: Cells, dropout_p: float) -> nn.RNNBase:
    """Makes torch's layer of the same function, batch first.

    Raises:
        ValueError: torch has no such layer.
    """
    first = cells[0][0]
    layer = layer_name(first, "torch")
    make: Any = _LAYERS[layer]
    # On the meta device a start draws no random numbers.
    theirs: nn.RNNBase = make(
        first.input_dim,
        first.gate_dim,
        num_layers=len(cells),
        bias=first.bias is not None,
        batch_first=True,
        # Where there is no second layer torch warns of dropout that never comes.
        dropout=dropout_p if len(cells) > 1 else 0.0,
        bidirectional=len(cells[0]) == 2,
        device="meta",
        dtype=first.input_weight.dtype,
        **_torch_options(first),
    ).to_empty(device=first.input_weight.device)
    for number, directions in enumerate(cells):
        for cell, suffix in zip(directions, ("", "_reverse"), strict=False):
            _write_cell(layer, cell, theirs, f"_l{number}{suffix}")
    return theirs


def _kind(layer: LayerName, module: Any) -> Kind:
    match layer:
        case "RNN":
            return "rnn_relu" if module.nonlinearity == "relu" else "rnn"
        case "LSTM":
            return "lstm_projected" if getattr(module, "proj_size", 0) else "lstm"
        case "GRU":
            return "gru_after"


def _torch_options(cell: Cell) -> dict[str, Any]:
    """torch's arguments that say which function a cell is."""
    match cell:
        case GRUCell(reset="before"):
            raise ValueError(
                "torch's GRU resets after the recurrent product, this one before it: only a GRU(reset='after')"
                " can become an nn.GRU"
            )
        case GRUCell() | LSTMCell() | CoupledLSTMCell():
            return {}
        case ProjectedLSTMCell() if cell.hidden_dim < cell.gate_dim:
            return {"proj_size": cell.hidden_dim}
        case ProjectedLSTMCell():
            sizes = f"{cell.gate_dim} to {cell.hidden_dim}"
            raise ValueError(f"torch's LSTM projects to fewer entries than its cell has, this one from {sizes}")
        case RNNCell():
            return {"nonlinearity": cell.activation}
        case _:
            raise ValueError(f"torch has no layer that computes what a {type(cell).__name__} computes")


def _read_cell(layer: LayerName, kind: Kind, module: Any, suffix: str) -> Weights:
    biases = [getattr(module, f"bias_{which}{suffix}").detach() for which in ("ih", "hh")] if module.bias else []
    input_rows, recurrent_rows = (getattr(module, f"weight_{which}{suffix}").detach() for which in ("ih", "hh"))
    weights = read_cell(kind, _ORDERS[layer], input_rows, recurrent_rows, biases)
    if kind == "lstm_projected":
        weights["projection_weight"] = getattr(module, f"weight_hr{suffix}").detach().clone()
    return weights


def _takes_gradient(module: Any, name: str, suffix: str) -> bool:
    """Whether one of torch's parameters that one of ours is made of takes a gradient."""
    return any(getattr(module, source + suffix).requires_grad for source in _SOURCES[name])


def _write_cell(layer: LayerName, cell: Cell, theirs: nn.RNNBase, suffix: str) -> None:
    order = _ORDERS[layer]
    written: dict[str, Tensor] = {
        "weight_ih": reorder(cell.input_weight, cell.gates, order),
        "weight_hh": reorder(cell.recurrent_weight, cell.gates, order),
    }
    biases = write_biases(cell, order)
    if biases is not None:
        written["bias_ih"], written["bias_hh"] = biases
    if isinstance(cell, ProjectedLSTMCell):
        written["weight_hr"] = cell.projection_weight
    frozen = {name for name, parameter in cell.named_parameters() if not parameter.requires_grad}
    with torch.no_grad():
        for name, tensor in written.items():
            parameter = getattr(theirs, name + suffix)
            parameter.copy_(tensor)
            ours = {ours for ours, sources in _SOURCES.items() if name in sources and hasattr(cell, ours)}
            parameter.requires_grad_(not ours <= frozen)
