"""From the name of a cell to the cell."""

from typing import Literal, assert_never

from seqlens.cells.gru import GRUCell
from seqlens.cells.lstm import LSTMCell
from seqlens.cells.rnn import RNNCell
from seqlens.cells.stage import Cell

CellKind = Literal["rnn", "lstm", "gru", "gru_after"]
"""`gru` resets before the product (the lecture's equations), `gru_after` after it (cuDNN's)."""


def build_cell(kind: CellKind, input_dim: int, hidden_dim: int, *, bias: bool = True) -> Cell:
    """Builds one cell of the named kind."""
    match kind:
        case "rnn":
            return RNNCell(input_dim, hidden_dim, bias=bias)
        case "lstm":
            return LSTMCell(input_dim, hidden_dim, bias=bias)
        case "gru":
            return GRUCell(input_dim, hidden_dim, bias=bias, reset="before")
        case "gru_after":
            return GRUCell(input_dim, hidden_dim, bias=bias, reset="after")
        case _:
            assert_never(kind)
