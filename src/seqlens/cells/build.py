"""From the name of a cell to the cell."""

from typing import Literal, assert_never, get_args

from seqlens.cells.cell import Cell
from seqlens.cells.coupled_lstm import CoupledLSTMCell
from seqlens.cells.gru import GRUCell
from seqlens.cells.layer_norm_gru import LayerNormGRUCell
from seqlens.cells.layer_norm_lstm import LayerNormLSTMCell
from seqlens.cells.layer_norm_rnn import LayerNormRNNCell
from seqlens.cells.lstm import LSTMCell
from seqlens.cells.min_gru import MinGRUCell
from seqlens.cells.min_lstm import MinLSTMCell
from seqlens.cells.peephole_lstm import PeepholeLSTMCell
from seqlens.cells.projected_lstm import ProjectedLSTMCell
from seqlens.cells.rnn import RNNCell
from seqlens.errors import check_choice

CellKind = Literal[
    "rnn",
    "rnn_relu",
    "rnn_layer_norm",
    "lstm",
    "lstm_peephole",
    "lstm_coupled",
    "lstm_projected",
    "lstm_layer_norm",
    "gru",
    "gru_after",
    "gru_layer_norm",
    "min_gru",
    "min_lstm",
]
"""`gru` resets before the product (the lecture's equations), `gru_after` after it (cuDNN's)."""


def build_cell(kind: CellKind, input_dim: int, hidden_dim: int, *, bias: bool = True) -> Cell:
    """Builds one cell of the named kind."""
    check_choice("kind", kind, get_args(CellKind))
    match kind:
        case "rnn":
            return RNNCell(input_dim, hidden_dim, bias=bias)
        case "rnn_relu":
            return RNNCell(input_dim, hidden_dim, bias=bias, activation="relu")
        case "rnn_layer_norm":
            return LayerNormRNNCell(input_dim, hidden_dim, bias=bias)
        case "lstm":
            return LSTMCell(input_dim, hidden_dim, bias=bias)
        case "lstm_peephole":
            return PeepholeLSTMCell(input_dim, hidden_dim, bias=bias)
        case "lstm_coupled":
            return CoupledLSTMCell(input_dim, hidden_dim, bias=bias)
        case "lstm_projected":
            return ProjectedLSTMCell(input_dim, hidden_dim, bias=bias)
        case "lstm_layer_norm":
            return LayerNormLSTMCell(input_dim, hidden_dim, bias=bias)
        case "gru":
            return GRUCell(input_dim, hidden_dim, bias=bias, reset="before")
        case "gru_after":
            return GRUCell(input_dim, hidden_dim, bias=bias, reset="after")
        case "gru_layer_norm":
            return LayerNormGRUCell(input_dim, hidden_dim, bias=bias)
        case "min_gru":
            return MinGRUCell(input_dim, hidden_dim, bias=bias)
        case "min_lstm":
            return MinLSTMCell(input_dim, hidden_dim, bias=bias)
        case _:
            assert_never(kind)
