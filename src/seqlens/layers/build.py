"""From the name of a cell to a recurrent layer."""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from seqlens.cells import CellKind
from seqlens.layers.recurrent import GRU, LSTM, RNN, RecurrentLayer


def build_recurrent(
    kind: CellKind,
    input_dim: int,
    hidden_dim: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout_p: float = 0.0,
) -> RecurrentLayer:
    """Builds the layer of the named cell; the arguments are those of `RecurrentLayer`."""
    make: Callable[..., RecurrentLayer]
    match kind:
        case "rnn":
            make = RNN
        case "lstm":
            make = LSTM
        case "gru":
            make = partial(GRU, reset="before")
        case "gru_after":
            make = partial(GRU, reset="after")
        case _:
            assert_never(kind)
    return make(input_dim, hidden_dim, num_layers=num_layers, bidirectional=bidirectional, dropout_p=dropout_p)
