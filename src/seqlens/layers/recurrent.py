"""RNN, LSTM and GRU layers over padded batches: directions, stacks, lengths, named state."""

from abc import ABC, abstractmethod
from typing import Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.cells import Cell, CellState, GRUCell, LSTMCell, RNNCell, Values
from seqlens.layers.executors.choose import Choice, ExecutorChoice, choose_executor
from seqlens.layers.executors.generic import run_generic
from seqlens.layers.executors.reference import run_reference
from seqlens.layers.packing import Packing
from seqlens.layers.state import LayerState, RecurrentOutput, RecurrentState
from seqlens.layers.trace import LayerTrace, RecurrentTrace, gather_trace


@final
class _Directions(nn.Module):
    """The cells of one layer: one that reads forward, and maybe one that reads backward."""

    def __init__(self, forward_cell: Cell, backward_cell: Cell | None) -> None:
        super().__init__()
        self.forward_cell = forward_cell
        self.backward_cell = backward_cell

    def run(
        self,
        packed: Tensor,
        packing: Packing,
        state: LayerState,
        choice: Choice,
        traces: list[LayerTrace] | None,
    ) -> tuple[Tensor, LayerState]:
        steps: list[Values] | None = None if traces is None else []
        outputs, forward_state = _run_cell(self.forward_cell, packed, packing, state.forward, choice, steps)
        forward_trace = gather_trace(self.forward_cell, packing, steps, reverse=False)
        if self.backward_cell is None or state.backward is None:
            if traces is not None:
                traces.append(LayerTrace(forward_trace, None))
            return outputs, LayerState(forward_state)
        back_steps: list[Values] | None = None if traces is None else []
        backward_outputs, backward_state = _run_cell(
            self.backward_cell, packed[packing.reversal], packing, state.backward, choice, back_steps
        )
        if traces is not None:
            back_trace = gather_trace(self.backward_cell, packing, back_steps, reverse=True)
            traces.append(LayerTrace(forward_trace, back_trace))
        both = torch.cat((outputs, backward_outputs[packing.reversal]), dim=1)
        return both, LayerState(forward_state, backward_state)


def _run_cell(
    cell: Cell, packed: Tensor, packing: Packing, state: CellState, choice: Choice, steps: list[Values] | None
) -> tuple[Tensor, CellState]:
    input_part = nn.functional.linear(packed, cell.input_weight, cell.bias)
    if steps is not None:
        return run_reference(cell, input_part, packing.batch_sizes, state, steps)
    match choice.name:
        case "reference":
            return run_reference(cell, input_part, packing.batch_sizes, state)
        case "generic":
            return run_generic(cell, input_part, packing.batch_sizes, state)


class RecurrentLayer(nn.Module, ABC):
    """What RNN, LSTM and GRU have in common: layers and directions of cells, over padded batches.

    Padding is never read: a sequence gets the same outputs, states and gradients alone and in any batch, whatever
    the padding holds. Outputs at padding are zero. The backward direction starts at each sequence's own last step.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout_p: float = 0.0,
        bias: bool = True,
        executor: ExecutorChoice = "auto",
    ) -> None:
        """Builds the stack.

        Args:
            input_dim: size of an input vector.
            hidden_dim: size of a state; an output has `hidden_dim` entries per direction.
            num_layers: layers, each reading the outputs of the one below.
            bidirectional: whether each layer also has a cell that reads from the end.
            dropout_p: dropout on the outputs between layers, in training.
            bias: whether the cells have biases.
            executor: `auto`, or one by name for comparisons; `explain()` says what runs.
        """
        super().__init__()
        if min(input_dim, hidden_dim, num_layers) < 1:
            sizes = f"input_dim={input_dim}, hidden_dim={hidden_dim}, num_layers={num_layers}"
            raise ValueError(f"`input_dim`, `hidden_dim` and `num_layers` must be at least 1, but {sizes}")
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.output_dim = hidden_dim * (2 if bidirectional else 1)
        self.executor: ExecutorChoice = executor
        self.dropout = nn.Dropout(dropout_p)
        layers = []
        for number in range(num_layers):
            dim = input_dim if number == 0 else self.output_dim
            forward_cell = self._build_cell(dim, bias)
            layers.append(_Directions(forward_cell, self._build_cell(dim, bias) if bidirectional else None))
        self.layers = nn.ModuleList(layers)

    @abstractmethod
    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        """Builds the cell of one layer and direction."""

    def forward(
        self,
        inputs: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"] | None = None,
        state: RecurrentState | None = None,
    ) -> RecurrentOutput:
        """Runs whole sequences.

        Args:
            inputs: `[batch, time, input_dim]`; what lies beyond a sequence's length is never read.
            lengths: steps of each sequence, 0 to time; None where all have `time` steps.
            state: the state to start from, zeros if None. A sequence of length 0 ends in the state it began in.

        Returns:
            `outputs [batch, time, output_dim]`, zero at padding, and the state after each sequence's last step.
        """
        return self._run(inputs, lengths, state, None)

    def trace(
        self,
        inputs: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"] | None = None,
        state: RecurrentState | None = None,
    ) -> RecurrentTrace:
        """Every gate and state of every step, `[batch, time, hidden_dim]` each, zero at padding."""
        traces: list[LayerTrace] = []
        output = self._run(inputs, lengths, state, traces)
        return RecurrentTrace(output, tuple(traces))

    def step(
        self, x_t: Float[Tensor, "batch dim"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch hidden"], RecurrentState]:
        """Takes one step, for streaming and decoding; equal to one step of the whole."""
        if self.bidirectional:
            raise ValueError("`step` needs a layer of one direction: a backward direction starts at the end")
        states = []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, _Directions)
            result = layer.forward_cell(x_t if number == 0 else self.dropout(x_t), state.layers[number].forward)
            x_t = result.output
            states.append(LayerState(result.state))
        return x_t, RecurrentState(tuple(states))

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> RecurrentState:
        """Zeros for every layer and direction."""
        states = []
        for layer in self.layers:
            assert isinstance(layer, _Directions)
            back = layer.backward_cell
            states.append(
                LayerState(
                    layer.forward_cell.initial_state(batch_size, device=device, dtype=dtype),
                    None if back is None else back.initial_state(batch_size, device=device, dtype=dtype),
                )
            )
        return RecurrentState(tuple(states))

    def explain(self) -> str:
        """Says which executor runs, and why."""
        return choose_executor(self.executor).reason

    def extra_repr(self) -> str:
        return f"{self.input_dim}, {self.hidden_dim}, num_layers={self.num_layers}, bidirectional={self.bidirectional}"

    def _run(
        self,
        inputs: Tensor,
        lengths: Tensor | None,
        state: RecurrentState | None,
        traces: list[LayerTrace] | None,
    ) -> RecurrentOutput:
        if inputs.ndim != 3 or inputs.shape[2] != self.input_dim:
            raise ValueError(f"`inputs` must be [batch, time, {self.input_dim}], but is {list(inputs.shape)}")
        packing = Packing.of(inputs.shape[0], inputs.shape[1], lengths, inputs.device)
        if state is None:
            state = self.initial_state(inputs.shape[0], device=inputs.device)
        self._check_state(state, inputs.shape[0])
        sorted_state = state.select(packing.order)
        choice = choose_executor(self.executor)
        packed = packing.pack(inputs)
        states = []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, _Directions)
            if number > 0:
                packed = self.dropout(packed)
            packed, layer_state = layer.run(packed, packing, sorted_state.layers[number], choice, traces)
            states.append(layer_state)
        final = RecurrentState(tuple(states)).select(packing.inverse)
        return RecurrentOutput(packing.unpack(packed), final)

    def _check_state(self, state: RecurrentState, batch_size: int) -> None:
        directions = {layer.backward is not None for layer in state.layers}
        if len(state.layers) != self.num_layers or directions != {self.bidirectional}:
            which = "both directions" if self.bidirectional else "one direction"
            raise ValueError(f"`state` must hold {self.num_layers} layers of {which}, as `initial_state` makes it")
        rows = len(state.last())
        if rows != batch_size:
            raise ValueError(f"`state` must have the {batch_size} rows of the batch, but has {rows}")


@final
class RNN(RecurrentLayer):
    """Plain recurrent layers: `h_t = tanh(W [h_{t-1}, x_t] + b)`."""

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        return RNNCell(input_dim, self.hidden_dim, bias=bias)


@final
class LSTM(RecurrentLayer):
    """LSTM layers with forget gates; state `hidden` and `cell`."""

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        return LSTMCell(input_dim, self.hidden_dim, bias=bias)


@final
class GRU(RecurrentLayer):
    """GRU layers; `reset="before"` is the lecture's and the paper's function, `"after"` that of torch and cuDNN."""

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        reset: Literal["before", "after"] = "before",
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout_p: float = 0.0,
        bias: bool = True,
        executor: ExecutorChoice = "auto",
    ) -> None:
        self._reset: Literal["before", "after"] = reset
        super().__init__(
            input_dim,
            hidden_dim,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout_p=dropout_p,
            bias=bias,
            executor=executor,
        )

    def _build_cell(self, input_dim: int, bias: bool) -> Cell:
        return GRUCell(input_dim, self.hidden_dim, bias=bias, reset=self._reset)
