"""The recurrent layers by name. Beside what stands here, their arguments are those of `RecurrentLayer`."""

from typing import ClassVar, Literal, Unpack, final, get_args

from seqlens.cells import (
    Activation,
    Cell,
    CoupledLSTMCell,
    GRUCell,
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LayerNormRNNCell,
    LSTMCell,
    MinGRUCell,
    MinLSTMCell,
    PeepholeLSTMCell,
    ProjectedLSTMCell,
    Reset,
    RNNCell,
)
from seqlens.errors import check_choice
from seqlens.layers.conversion.stack import LayerName
from seqlens.layers.options import RecurrentOptions
from seqlens.layers.recurrent import RecurrentLayer

LSTMVariant = Literal["plain", "peephole", "coupled", "projected", "layer_norm"]


@final
class RNN(RecurrentLayer):
    """Plain recurrent layers: `h_t = tanh(W [h_{t-1}, x_t] + b)`, or `relu` of it.

    `layer_norm` norms both products (Ba et al. 2016).
    """

    layer_name: ClassVar[LayerName | None] = "RNN"

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        activation: Activation = "tanh",
        layer_norm: bool = False,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        """Raises ValueError for layer norm with another activation than tanh."""
        if layer_norm and activation != "tanh":
            raise ValueError(f"an RNN with layer norm has activation='tanh', but activation is {activation!r}")
        self._activation: Activation = activation
        self._layer_norm = layer_norm
        super().__init__(input_dim, hidden_dim, **options)

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        if self._layer_norm:
            return LayerNormRNNCell(input_dim, self.hidden_dim, bias=bias)
        return RNNCell(input_dim, self.hidden_dim, bias=bias, activation=self._activation)


@final
class LSTM(RecurrentLayer):
    """LSTM layers with forget gates; state `hidden` and `cell`.

    `variant` says which cell: `peephole`, whose gates see the cell (Gers & Schmidhuber 2000); `coupled`, which forgets
    what it overwrites (Greff et al. 2017); `projected`, whose cell is `cell_dim` wide, twice `hidden_dim` if None, and
    its hidden state a projection of it (Sak et al. 2014), as torch's `nn.LSTM(hidden_size=cell_dim,
    proj_size=hidden_dim)`; `layer_norm`, which norms both products and the cell (Ba et al. 2016).
    """

    layer_name: ClassVar[LayerName | None] = "LSTM"

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        variant: LSTMVariant = "plain",
        cell_dim: int | None = None,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        """Raises ValueError for a `cell_dim` where nothing is projected."""
        check_choice("variant", variant, get_args(LSTMVariant))
        if cell_dim is not None and variant != "projected":
            raise ValueError(f"`cell_dim` is for variant='projected', but variant is {variant!r}")
        self._variant: LSTMVariant = variant
        self._cell_dim = cell_dim
        super().__init__(input_dim, hidden_dim, **options)

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        match self._variant:
            case "plain":
                return LSTMCell(input_dim, self.hidden_dim, bias=bias)
            case "peephole":
                return PeepholeLSTMCell(input_dim, self.hidden_dim, bias=bias)
            case "coupled":
                return CoupledLSTMCell(input_dim, self.hidden_dim, bias=bias)
            case "projected":
                return ProjectedLSTMCell(input_dim, self.hidden_dim, cell_dim=self._cell_dim, bias=bias)
            case "layer_norm":
                return LayerNormLSTMCell(input_dim, self.hidden_dim, bias=bias)


@final
class GRU(RecurrentLayer):
    """GRU layers; `reset="before"` is the lecture's and the paper's function, `"after"` that of torch and cuDNN.

    `layer_norm` norms both products (Ba et al. 2016), which is defined for `reset="after"`.
    """

    layer_name: ClassVar[LayerName | None] = "GRU"

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        reset: Reset = "before",
        layer_norm: bool = False,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        """Raises ValueError for layer norm with `reset="before"`."""
        if layer_norm and reset != "after":
            raise ValueError("a GRU with layer norm resets after the product: it needs reset='after'")
        self._reset: Reset = reset
        self._layer_norm = layer_norm
        super().__init__(input_dim, hidden_dim, **options)

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        if self._layer_norm:
            return LayerNormGRUCell(input_dim, self.hidden_dim, bias=bias)
        return GRUCell(input_dim, self.hidden_dim, bias=bias, reset=self._reset)


@final
class MinGRU(RecurrentLayer):
    """GRU layers whose gates see the input only, computed by a scan (Feng et al. 2024)."""

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        return MinGRUCell(input_dim, self.hidden_dim, bias=bias)


@final
class MinLSTM(RecurrentLayer):
    """LSTM layers whose gates see the input only, computed by a scan (Feng et al. 2024); one state, `hidden`."""

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        return MinLSTMCell(input_dim, self.hidden_dim, bias=bias)
