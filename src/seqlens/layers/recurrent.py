"""What all recurrent layers do over padded batches: directions, stacks, lengths, named state."""

from abc import ABC, abstractmethod
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.cells import Cell, Start
from seqlens.errors import check_choice
from seqlens.layers.conversion.face import Convertible
from seqlens.layers.directions import Call, Directions, circumstances
from seqlens.layers.dropout import Dropout
from seqlens.layers.executors.choose import ExecutorChoice, choose_executor
from seqlens.layers.options import Merge
from seqlens.layers.packing import Packing
from seqlens.layers.precision import product_dtype
from seqlens.layers.randomness import Randomness
from seqlens.layers.state import LayerState, RecurrentOutput, RecurrentState, check_state
from seqlens.layers.trace import LayerTrace, RecurrentTrace


class RecurrentLayer(Convertible, ABC):
    """What all recurrent layers have in common: layers and directions of cells, over padded batches.

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
        merge: Merge = "concatenate",
        residual: bool = False,
        learned_state: bool = False,
        bias: bool = True,
        dropout_p: float = 0.0,
        zoneout_p: float = 0.0,
        cell_zoneout_p: float | None = None,
        recurrent_dropout_p: float = 0.0,
        weight_dropout_p: float = 0.0,
        start: Start = "orthogonal",
        forget_bias: float | None = None,
        longest: int | None = None,
        executor: ExecutorChoice = "auto",
    ) -> None:
        """Builds the stack.

        Args:
            input_dim: size of an input vector.
            hidden_dim: size of a hidden state.
            num_layers: layers, each reading the outputs of the one below.
            bidirectional: whether each layer also has a cell that reads from the end.
            merge: what becomes of the outputs of both directions; concatenated they are `2 * hidden_dim` wide.
            residual: whether each layer but the first adds what it reads to its outputs.
            learned_state: whether the state to start from, if none is given, is learned instead of zero.
            bias: whether the cells have biases.
            dropout_p: dropout on the outputs between layers, in training.
            zoneout_p: probability of an entry of a state to stay as it is at a step, in training; its share otherwise.
            cell_zoneout_p: the same for the state `cell` alone; that of all states if None.
            recurrent_dropout_p: variational dropout on what recurrent weights multiply, one mask a sequence.
            weight_dropout_p: DropConnect on the recurrent weights, one mask a batch.
            start: how weights start, by name: see `Cell.start`.
            forget_bias: where the bias of the gate that keeps the state starts; the cell's own default if None.
            longest: steps that `start="chrono"` is to remember.
            executor: `auto`, or one by name for comparisons; `explain()` says what runs.
        """
        super().__init__()
        if min(input_dim, hidden_dim, num_layers) < 1:
            sizes = f"input_dim={input_dim}, hidden_dim={hidden_dim}, num_layers={num_layers}"
            raise ValueError(f"`input_dim`, `hidden_dim` and `num_layers` must be at least 1, but {sizes}")
        check_choice("merge", merge, get_args(Merge))
        check_choice("executor", executor, get_args(ExecutorChoice))
        if start == "chrono" and forget_bias is not None:
            raise ValueError("start='chrono' and `forget_bias` set the same biases: give one of them")
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.merge: Merge = merge
        self.residual = residual
        self.output_dim = hidden_dim * (2 if bidirectional and merge == "concatenate" else 1)
        self.executor: ExecutorChoice = executor
        self.dropout = Dropout(dropout_p)
        self.randomness = Randomness(
            zoneout_p, zoneout_p if cell_zoneout_p is None else cell_zoneout_p, recurrent_dropout_p, weight_dropout_p
        )
        layers = []
        for number in range(num_layers):
            dim = input_dim if number == 0 else self.output_dim
            cells = [self._build_cell(dim, bias) for _ in range(2 if bidirectional else 1)]
            for cell in cells:
                self.randomness.check(cell)
                if start != "orthogonal" or longest is not None:
                    cell.start(start, longest=longest)
                if forget_bias is not None:
                    cell.set_forget_bias(forget_bias)
            back = cells[1] if bidirectional else None
            layers.append(Directions(cells[0], back, merge, learned_state=learned_state))
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
        """Every gate and state of every step, `[batch, time, dim]` each, zero at padding.

        Recomputed from what the executor has put out, all steps at once (a peephole LSTM is unrolled, as its gates read
        the cell); gradients flow through them.
        """
        traces: list[LayerTrace] = []
        output = self._run(inputs, lengths, state, traces)
        return RecurrentTrace(output, tuple(traces))

    def step(
        self, x_t: Float[Tensor, "batch dim"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch hidden"], RecurrentState]:
        """Takes one step, for streaming and decoding; equal to one step of the whole.

        Raises:
            ValueError: a direction reads from the end, in training a mask would have to last for all steps, or shapes
                do not fit.
        """
        if self.bidirectional:
            raise ValueError("`step` needs a layer of one direction: a backward direction starts at the end")
        if self.training and self.randomness.lasts:
            raise ValueError("`step` cannot keep one mask for all steps: in training, run whole sequences")
        if x_t.ndim != 2 or x_t.shape[1] != self.input_dim:
            raise ValueError(f"`x_t` must be [batch, {self.input_dim}], but is {list(x_t.shape)}")
        # Not `len`, by which a graph would be for one number of rows.
        rows = x_t.shape[0]
        state = self._checked(state, rows)
        states = []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Directions)
            cell = layer.forward_cell
            masks = self.randomness.draw(cell, rows=rows, steps=rows, training=self.training)
            result = cell(x_t if number == 0 else self.dropout(x_t), state.layers[number].forward, masks)
            output = result.output.to(product_dtype(cell.recurrent_weight))
            x_t = output + x_t if self.residual and number > 0 else output
            states.append(LayerState(result.state))
        return x_t, RecurrentState(tuple(states))

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> RecurrentState:
        """Zeros for every layer and direction, or what was learned."""
        states = []
        for layer in self.layers:
            assert isinstance(layer, Directions)
            states.append(layer.initial_state(batch_size, device=device, dtype=dtype))
        return RecurrentState(tuple(states))

    def explain(
        self, inputs: Float[Tensor, "batch time dim"] | None = None, lengths: Int[Tensor, " batch"] | None = None
    ) -> str:
        """Says which executor runs, and why; for these inputs, or else for sequences of one length."""
        packing = None if inputs is None else Packing.of(inputs.shape[0], inputs.shape[1], lengths, inputs.device)
        layer = self.layers[0]
        assert isinstance(layer, Directions)
        cell = layer.forward_cell
        given = circumstances(cell, packing, self.randomness, training=self.training)
        return choose_executor(self.executor, cell, given).reason

    def extra_repr(self) -> str:
        return f"{self.input_dim}, {self.hidden_dim}, num_layers={self.num_layers}, bidirectional={self.bidirectional}"

    def _run(
        self,
        inputs: Tensor,
        lengths: Tensor | None,
        state: RecurrentState | None,
        traces: list[LayerTrace] | None,
    ) -> RecurrentOutput:
        if not isinstance(inputs, Tensor) or inputs.ndim != 3 or inputs.shape[2] != self.input_dim:
            found = list(inputs.shape) if isinstance(inputs, Tensor) else f"a {type(inputs).__name__}"
            raise ValueError(f"`inputs` must be a padded batch [batch, time, {self.input_dim}], but is {found}")
        packing = Packing.of(inputs.shape[0], inputs.shape[1], lengths, inputs.device)
        if state is None:
            state = self.initial_state(inputs.shape[0], device=inputs.device)
        else:
            state = self._checked(state, inputs.shape[0])
        # Whole batches lie in their own order.
        sorted_state = state if packing.is_whole else state.select(packing.order)
        call = Call(packing, self.executor, self.randomness, self.training, traces)
        packed = packing.pack(inputs)
        states = []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Directions)
            below = packed
            packed, layer_state = layer.run(
                below if number == 0 else self.dropout(below), sorted_state.layers[number], call
            )
            if self.residual and number > 0:
                packed = packed + below
            states.append(layer_state)
        final = RecurrentState(tuple(states))
        return RecurrentOutput(packing.unpack(packed), final if packing.is_whole else final.select(packing.inverse))

    def _checked(self, state: RecurrentState, batch_size: int) -> RecurrentState:
        layers = [layer for layer in self.layers if isinstance(layer, Directions)]
        dtype = layers[0].forward_cell.input_weight.dtype
        check_state(state, [layer.state_dims for layer in layers], batch_size, dtype)
        return state.widened(dtype)
