"""From the name of a cell to a recurrent layer."""

from typing import Unpack, assert_never, get_args

from seqlens.cells import CellKind
from seqlens.errors import check_choice
from seqlens.layers.options import RecurrentOptions
from seqlens.layers.recurrent import RecurrentLayer
from seqlens.layers.recurrent_kinds import GRU, LSTM, RNN, MinGRU, MinLSTM


def build_recurrent(
    kind: CellKind, input_dim: int, hidden_dim: int, **options: Unpack[RecurrentOptions]
) -> RecurrentLayer:
    """Builds the layer of the named cell; the arguments are those of `RecurrentLayer`."""
    check_choice("kind", kind, get_args(CellKind))
    match kind:
        case "rnn":
            return RNN(input_dim, hidden_dim, **options)
        case "rnn_relu":
            return RNN(input_dim, hidden_dim, activation="relu", **options)
        case "rnn_layer_norm":
            return RNN(input_dim, hidden_dim, layer_norm=True, **options)
        case "lstm":
            return LSTM(input_dim, hidden_dim, **options)
        case "lstm_peephole":
            return LSTM(input_dim, hidden_dim, variant="peephole", **options)
        case "lstm_coupled":
            return LSTM(input_dim, hidden_dim, variant="coupled", **options)
        case "lstm_projected":
            return LSTM(input_dim, hidden_dim, variant="projected", **options)
        case "lstm_layer_norm":
            return LSTM(input_dim, hidden_dim, variant="layer_norm", **options)
        case "gru":
            return GRU(input_dim, hidden_dim, reset="before", **options)
        case "gru_after":
            return GRU(input_dim, hidden_dim, reset="after", **options)
        case "gru_layer_norm":
            return GRU(input_dim, hidden_dim, reset="after", layer_norm=True, **options)
        case "min_gru":
            return MinGRU(input_dim, hidden_dim, **options)
        case "min_lstm":
            return MinLSTM(input_dim, hidden_dim, **options)
        case _:
            assert_never(kind)
