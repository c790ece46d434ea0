"""Every cell in every recurrent layer: executors agree, padding is never seen, chunks and steps equal the whole."""

import copy
import io
import weakref
from collections.abc import Iterator
from typing import ClassVar, Literal, final, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seqlens.cells import Cell, CellKind, CellState, Stage, StageGradient, Values, build_cell
from seqlens.layers import GRU, LSTM, MinGRU, RecurrentLayer, RecurrentOutput, RecurrentState
from seqlens.layers.build import build_recurrent
from seqlens.layers.executors.choose import ExecutorChoice
from seqlens.layers.executors.generic import run_generic
from seqlens.layers.executors.reference import run_reference
from seqlens.testing import (
    assert_chunks_equal_whole,
    assert_padding_invariant,
    assert_same_function,
    assert_steps_equal_whole,
)

CELLS: tuple[CellKind, ...] = get_args(CellKind)
INPUT_DIM, HIDDEN_DIM, TIME = 3, 4, 6

each_cell = pytest.mark.parametrize("kind", CELLS)
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"])
each_depth = pytest.mark.parametrize("num_layers", [1, 3])


def random_layer(
    kind: CellKind, *, bidirectional: bool = False, num_layers: int = 1, dtype: torch.dtype = torch.float64
) -> RecurrentLayer:
    torch.manual_seed(0)
    layer = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, num_layers=num_layers, bidirectional=bidirectional)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    return layer.to(dtype)


def random_inputs(batch: int, time: int = TIME, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, time, INPUT_DIM, generator=torch.Generator().manual_seed(1), dtype=dtype)


def random_state(layer: RecurrentLayer, batch: int) -> RecurrentState:
    generator = torch.Generator().manual_seed(2)
    zeros = layer.initial_state(batch)
    return pytree.tree_map_only(Tensor, lambda t: torch.randn(t.shape, generator=generator, dtype=t.dtype), zeros)


def with_executor(layer: RecurrentLayer, executor: ExecutorChoice) -> RecurrentLayer:
    other = copy.deepcopy(layer)
    other.executor = executor
    return other


# What is looked at: all that a layer returns, or only a part, so that gradients come only through that part.
Part = Literal["everything", "outputs", "states"]


@final
class OnlyPart(nn.Module):
    """A layer of which only a part is looked at."""

    def __init__(self, layer: RecurrentLayer, part: Part) -> None:
        super().__init__()
        self.layer, self.part = layer, part

    def forward(self, inputs: Tensor, lengths: Tensor | None, state: RecurrentState | None) -> object:
        output = self.layer(inputs, lengths, state)
        return {"everything": output, "outputs": output.outputs, "states": output.state}[self.part]


# --- executors ---------------------------------------------------------------------------------------------------

LENGTHS: dict[str, tuple[int, int, list[int] | None]] = {
    "ragged": (5, TIME, [4, 0, 6, 1, 4]),
    "shorter than the batch": (2, TIME, [2, 3]),
    "none": (3, TIME, None),
    "all empty": (2, TIME, [0, 0]),
    "no rows": (0, TIME, []),
    "no rows, no lengths": (0, TIME, None),
    "no time": (2, 0, [0, 0]),
    "no time, no lengths": (2, 0, None),
}


def assert_executors_agree(
    layer: RecurrentLayer,
    inputs: Tensor,
    lengths: Tensor | None,
    state: RecurrentState | None,
    part: Part,
    executor: ExecutorChoice = "generic",
) -> None:
    assert_same_function(
        OnlyPart(with_executor(layer, executor), part),
        OnlyPart(with_executor(layer, "reference"), part),
        inputs,
        lengths,
        state,
        gradients="all",
    )


@each_cell
@each_direction
@each_depth
@pytest.mark.parametrize("case", LENGTHS)
def test_generic_executor_is_the_reference(kind: CellKind, bidirectional: bool, num_layers: int, case: str) -> None:
    layer = random_layer(kind, bidirectional=bidirectional, num_layers=num_layers)
    batch, time, given = LENGTHS[case]
    lengths = None if given is None else torch.tensor(given, dtype=torch.int64)
    assert_executors_agree(layer, random_inputs(batch, time), lengths, random_state(layer, batch), "everything")


@each_cell
@pytest.mark.parametrize("part", ["outputs", "states"])
def test_gradients_through_one_part_alone(kind: CellKind, part: Part) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    lengths = torch.tensor([4, 0, 6, 1])
    assert_executors_agree(layer, random_inputs(4), lengths, random_state(layer, 4), part)
    assert_executors_agree(layer, random_inputs(4), lengths, None, part)


@each_cell
@each_direction
def test_generic_executor_is_the_reference_in_float32(kind: CellKind, bidirectional: bool) -> None:
    layer = random_layer(kind, bidirectional=bidirectional, num_layers=2, dtype=torch.float32)
    inputs = random_inputs(4, 5, torch.float32)
    assert_executors_agree(layer, inputs, torch.tensor([3, 0, 5, 1]), None, "everything")


@settings(max_examples=25)
@given(data=st.data())
def test_any_lengths_and_bias_or_none(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(CELLS))
    time = data.draw(st.integers(0, 5))
    lengths = data.draw(st.lists(st.integers(0, time), max_size=5))
    torch.manual_seed(0)
    cell = build_cell(kind, INPUT_DIM, HIDDEN_DIM, bias=data.draw(st.booleans())).double()
    layer = random_layer(kind, bidirectional=data.draw(st.booleans()))
    layer.layers[0].forward_cell = cell
    inputs = random_inputs(len(lengths), time)
    assert_executors_agree(layer, inputs, torch.tensor(lengths, dtype=torch.int64), None, "everything")


# Under bfloat16 autocast a product keeps 8 bits, and its error is carried through the steps.
BFLOAT16_TOLERANCE = 3e-2
# A norm of rows divides by their spread, and with it their error.
LAYER_NORM_TOLERANCE = 1.5e-1


@each_cell
@pytest.mark.parametrize("executor", ["reference", "generic"])
def test_bfloat16_autocast_is_near_float32(kind: CellKind, executor: Literal["reference", "generic"]) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2, dtype=torch.float32)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.5)
    plain, layer = with_executor(layer, "reference"), with_executor(layer, executor)

    class Autocast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layer.layers

        def forward(self, inputs: Tensor, lengths: Tensor) -> RecurrentOutput:
            with torch.autocast("cpu", torch.bfloat16):
                return layer(inputs, lengths)

    inputs, lengths = random_inputs(4, 5, torch.float32), torch.tensor([3, 0, 5, 1])
    tolerance = LAYER_NORM_TOLERANCE if kind.endswith("layer_norm") else BFLOAT16_TOLERANCE
    assert_same_function(Autocast(), plain, inputs, lengths, gradients="all", tolerance=tolerance)
    outputs, state = Autocast()(inputs, lengths)
    assert outputs.dtype == torch.bfloat16
    assert state.last().dtype == torch.float32, "a state is summed up over time, so it stays wide"


@each_cell
@each_direction
def test_numerical_gradients(kind: CellKind, bidirectional: bool) -> None:
    """Against finite differences, so that no mistake can be common to both executors."""
    torch.manual_seed(0)
    layer = build_recurrent(kind, 2, 2, bidirectional=bidirectional).double()
    names = [name for name, _ in layer.named_parameters()]
    weights = [0.5 * torch.randn_like(parameter) for parameter in layer.parameters()]

    def run(inputs: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        given = dict(zip(names, parameters, strict=True))
        output = torch.func.functional_call(layer, given, (inputs, torch.tensor([3, 1])))
        return output.outputs, output.state.last()

    inputs = random_inputs(2, 3)[:, :, :2]
    assert torch.autograd.gradcheck(run, [t.requires_grad_() for t in (inputs, *weights)])


@each_cell
def test_backward_twice_gives_the_same_gradients_twice(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    inputs = random_inputs(3).requires_grad_()
    output = layer(inputs, torch.tensor([6, 2, 4]))
    total = output.outputs.square().sum() + output.state.last().sum()
    leaves = [inputs, *layer.parameters()]
    first = torch.autograd.grad(total, leaves, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(total, leaves), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, leaves)


@each_cell
@pytest.mark.parametrize("executor", ["reference", "generic"])
def test_a_weight_changed_before_backward_is_an_error_not_a_wrong_gradient(
    kind: CellKind, executor: Literal["reference", "generic"]
) -> None:
    layer = with_executor(random_layer(kind), executor)
    total = layer(random_inputs(2).requires_grad_()).outputs.sum()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.9)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


@each_cell
def test_what_is_kept_for_backward_is_freed_by_it(kind: CellKind) -> None:
    """A loss that outlives its step must not hold the activations of all time steps."""
    layer = with_executor(random_layer(kind, num_layers=2), "generic")
    output = layer(random_inputs(2), torch.tensor([6, 3]))
    node = output.outputs.grad_fn
    seen, functions = set(), []
    while node is not None and node not in seen:
        seen.add(node)
        functions += [node] if "_Sequence" in node.name() else []
        node = next((parent for parent, _ in node.next_functions if parent is not None), None)
    assert functions, "the generic executor is part of the graph"
    held = [tensor for function in functions for tensor in vars(function).values() if isinstance(tensor, Tensor)]
    assert not held
    assert functions[0].saved_tensors
    output.outputs.sum().backward()
    with pytest.raises(RuntimeError, match="freed"):
        _ = functions[0].saved_tensors


@final
class SpyStage:
    """An RNN's stage that says whether anything in it is recorded by autograd, and which of its gates are kept."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    saved: ClassVar[tuple[str, ...]] = ("candidate",)

    def __init__(self, seen: list[tuple[str, bool]], alive: list[weakref.ref[Tensor]]) -> None:
        self.seen, self.alive = seen, alive

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        candidate = torch.tanh(input_part + product)
        self.alive[:] = [gate for gate in self.alive if gate() is not None] + [weakref.ref(candidate)]
        self.seen.append(("forward", torch.is_grad_enabled() or candidate.requires_grad))
        return {"candidate": candidate, "new_hidden": candidate.clone()}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        gradient = gradients["new_hidden"] * (1 - values["candidate"] ** 2)
        self.seen.append(("backward", torch.is_grad_enabled() or gradient.requires_grad))
        return StageGradient(gradient, gradient, {})


@final
class SpyCell(Cell):
    gates: ClassVar[tuple[str, ...]] = ("candidate",)

    def __init__(self) -> None:
        super().__init__(INPUT_DIM, HIDDEN_DIM)
        self.seen: list[tuple[str, bool]] = []
        self.alive: list[weakref.ref[Tensor]] = []

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (SpyStage(self.seen, self.alive),)


def test_no_autograd_inside_the_generic_executor() -> None:
    cell = SpyCell()
    state = {"hidden": torch.randn(2, HIDDEN_DIM, requires_grad=True)}
    outputs, _ = run_generic(cell, torch.randn(5, HIDDEN_DIM, requires_grad=True), (2, 2, 1), state)
    outputs.sum().backward()
    assert cell.seen == [("forward", False)] * 3 + [("backward", False)] * 3


def test_gates_are_dropped_at_once_where_no_gradient_is_wanted() -> None:
    """Reading a long sequence under `no_grad` must not cost the memory of all its steps."""
    for grad, kept in ((True, range(10, 11)), (False, range(1, 3))):
        cell = SpyCell()
        with torch.set_grad_enabled(grad):
            run_generic(cell, torch.randn(10, HIDDEN_DIM), (1,) * 10, {"hidden": torch.zeros(1, HIDDEN_DIM)})
        assert len(cell.alive) in kept


def test_a_second_derivative_is_an_error_not_a_missing_term() -> None:
    inputs = random_inputs(2).requires_grad_()
    layer = random_layer("gru")
    with pytest.raises(RuntimeError, match="use executor='reference'"):
        torch.autograd.grad(layer(inputs).outputs.sum(), inputs, create_graph=True)
    outputs = with_executor(layer, "reference")(inputs).outputs
    (slope,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
    assert torch.autograd.grad(slope.square().sum(), inputs)[0].any()


@final
class ForgetStage:
    """A cell of one's own, first half: a forget gate that also sees the cell (a peephole)."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("forget",)
    saved: ClassVar[tuple[str, ...]] = ("forget",)

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        forget = torch.sigmoid(input_part + product + values["cell"])
        return {"forget": forget, "kept": forget * values["cell"].sin()}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        forget, cell = values["forget"], values["cell"]
        gradient = (gradients["forget"] + gradients["kept"] * cell.sin()) * forget * (1 - forget)
        return StageGradient(gradient, gradient, {"cell": gradient + gradients["kept"] * forget * cell.cos()})


@final
class WriteStage:
    """Second half: writes what was forgotten (coupled gates), multiplies the same hidden state again."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate", "output")
    saved: ClassVar[tuple[str, ...]] = ("forget", "kept", "candidate", "output", "cell", "hidden", "new_cell")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        candidate, output = torch.tanh(input_part + 2 * product).chunk(2, dim=1)
        cell = values["kept"] + (1 - values["forget"]) * candidate
        hidden = output * cell + values["hidden"] / 2
        return {"candidate": candidate, "output": output, "new_cell": cell, "new_hidden": hidden}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        candidate, output = values["candidate"], values["output"]
        cell = gradients["new_cell"] + gradients["new_hidden"] * output
        gates = torch.cat((cell * (1 - values["forget"]), gradients["new_hidden"] * values["new_cell"]), dim=1)
        gates = gates * (1 - torch.cat((candidate, output), dim=1) ** 2)
        read = {"kept": cell, "forget": -cell * candidate, "hidden": gradients["new_hidden"] / 2}
        return StageGradient(gates, 2 * gates, read)


@final
class OwnCell(Cell):
    """Two states, two stages with one operand, values that are no gates: what no built-in cell has all at once."""

    gates: ClassVar[tuple[str, ...]] = ("forget", "candidate", "output")
    state_names: ClassVar[tuple[str, ...]] = ("hidden", "cell")

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (ForgetStage(), WriteStage())


def test_a_cell_of_ones_own_runs_in_the_generic_executor() -> None:
    torch.manual_seed(0)
    cell = OwnCell(INPUT_DIM, HIDDEN_DIM).double()
    state = {name: torch.randn(3, HIDDEN_DIM, dtype=torch.float64) for name in cell.state_names}
    input_part = torch.randn(8, 3 * HIDDEN_DIM, dtype=torch.float64)

    class Run(nn.Module):
        def __init__(self, reference: bool) -> None:
            super().__init__()
            self.recurrent_weight, self.reference = cell.recurrent_weight, reference

        def forward(self, input_part: Tensor, state: CellState) -> object:
            run = run_reference if self.reference else run_generic
            return run(cell, input_part, (3, 3, 1, 1), state)

    assert_same_function(Run(reference=False), Run(reference=True), input_part, state, gradients="all")


# --- torch's fused layers ----------------------------------------------------------------------------------------

FUSED: tuple[CellKind, ...] = ("rnn", "rnn_relu", "lstm", "gru_after")
SCANNED: tuple[CellKind, ...] = ("min_gru", "min_lstm")


@pytest.mark.parametrize("kind", FUSED)
@each_direction
@each_depth
@pytest.mark.parametrize("part", ["everything", "outputs", "states"])
def test_fused_layers_are_the_reference(kind: CellKind, bidirectional: bool, num_layers: int, part: Part) -> None:
    layer = random_layer(kind, bidirectional=bidirectional, num_layers=num_layers)
    inputs, state = random_inputs(3), random_state(layer, 3)
    assert_executors_agree(layer, inputs, None, state, part, "fused")
    assert_executors_agree(layer, inputs, torch.tensor([TIME] * 3), None, part, "fused")


@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_fused_layers_are_the_reference_in_float32(kind: CellKind, bias: bool, training: bool) -> None:
    """The precision that the CPU's fused LSTM is made for; a sequence of 300 steps; evaluation has gradients too."""
    torch.manual_seed(0)
    layer = build_recurrent(kind, INPUT_DIM, 16, num_layers=2, bidirectional=True, bias=bias).train(training)
    inputs = random_inputs(2, 300, torch.float32)
    assert_executors_agree(layer, inputs, None, random_state(layer, 2), "everything", "fused")
    with torch.no_grad():
        torch.testing.assert_close(
            with_executor(layer, "fused")(inputs).outputs, with_executor(layer, "reference")(inputs).outputs
        )


def test_a_fused_layer_runs_only_where_it_computes_the_same() -> None:
    inputs = torch.randn(3, 4, 2)
    layer = LSTM(2, 2)
    assert "fused layer runs" in layer.explain()
    assert "fused layer runs" in layer.explain(inputs, torch.tensor([4, 4, 4]))
    assert "fused layer runs" in layer.explain(inputs, torch.tensor([3, 3, 3]))
    assert "end of a shorter or empty" in layer.explain(inputs, torch.tensor([4, 4, 3]))
    assert "end of a shorter or empty" in layer.explain(inputs, torch.tensor([4, 4, 0]))
    assert "end of a shorter or empty" in layer.explain(inputs, torch.tensor([0, 0, 0]))
    assert "autocast" not in layer.explain()
    with torch.autocast("cpu", torch.bfloat16):
        assert "under autocast it would round" in layer.explain()
    assert "made for float32, not for float64" in LSTM(2, 2).double().explain()
    assert "neither zoneout nor dropout" in LSTM(2, 2, zoneout_p=0.1).explain()
    assert "neither zoneout nor dropout" in LSTM(2, 2, recurrent_dropout_p=0.1).explain()
    assert "fused layer runs" in LSTM(2, 2, recurrent_dropout_p=0.1).eval().explain()
    assert "fused layer runs" in LSTM(2, 2, weight_dropout_p=0.1).explain()
    for other in (LSTM(2, 2, variant="peephole"), GRU(2, 2)):
        assert "torch has none for" in other.explain()
        other.executor = "fused"
        with pytest.raises(ValueError, match="'fused' cannot run here: torch has none for"):
            other(inputs)
    layer.executor = "fused"
    with pytest.raises(ValueError, match="end of a shorter"):
        layer(inputs, torch.tensor([4, 2, 4]))


# --- the scan ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SCANNED)
@each_direction
@each_depth
@pytest.mark.parametrize("case", LENGTHS)
def test_the_scan_is_the_reference(kind: CellKind, bidirectional: bool, num_layers: int, case: str) -> None:
    layer = random_layer(kind, bidirectional=bidirectional, num_layers=num_layers)
    batch, time, given = LENGTHS[case]
    lengths = None if given is None else torch.tensor(given, dtype=torch.int64)
    state = random_state(layer, batch)
    assert_executors_agree(layer, random_inputs(batch, time), lengths, state, "everything", "scan")


@pytest.mark.parametrize("kind", SCANNED)
@pytest.mark.parametrize("part", ["outputs", "states"])
def test_gradients_of_the_scan_through_one_part_alone(kind: CellKind, part: Part) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    lengths = torch.tensor([4, 0, 6, 1])
    assert_executors_agree(layer, random_inputs(4), lengths, random_state(layer, 4), part, "scan")


def test_only_linear_cells_are_scanned() -> None:
    assert "scan runs" in MinGRU(2, 2).explain()
    with pytest.raises(ValueError, match="'scan' is for cells whose gates see the input only, not for GRUCell"):
        GRU(2, 2, executor="scan")(torch.zeros(1, 1, 2))


def test_a_shut_minlstm_stays_a_number() -> None:
    """Both gates far below 0: their shares are 0 divided by 0 if computed as written."""
    layer = with_executor(random_layer("min_lstm"), "scan")
    cell = layer.layers[0].forward_cell
    with torch.no_grad():
        cell.bias.fill_(-800.0)
    outputs = layer(random_inputs(2)).outputs
    outputs.sum().backward()
    assert outputs.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_explain_names_what_runs_and_why() -> None:
    assert "generic" in GRU(2, 2).explain()
    assert "asked for" in GRU(2, 2, executor="reference").explain()
    assert "asked for" in LSTM(2, 2, executor="generic").explain()


@each_cell
def test_no_cell_is_left_to_the_reference(kind: CellKind) -> None:
    layer = build_recurrent(kind, 2, 2)
    assert "reference" not in layer.explain()
    assert "reference" not in layer.explain(torch.zeros(2, 3, 2), torch.tensor([3, 1]))


# --- padding, chunks, steps --------------------------------------------------------------------------------------


@each_cell
@each_direction
@pytest.mark.parametrize("executor", ["reference", "generic"])
def test_padding_never_changes_an_answer(
    kind: CellKind, bidirectional: bool, executor: Literal["reference", "generic"]
) -> None:
    layer = with_executor(random_layer(kind, bidirectional=bidirectional, num_layers=2), executor)
    assert_padding_invariant(layer, (random_inputs(5), torch.tensor([3, 0, 6, 1, 6])))


@each_cell
def test_padding_never_changes_an_answer_in_float32(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, dtype=torch.float32)
    assert_padding_invariant(layer, (random_inputs(4, dtype=torch.float32), torch.tensor([3, 0, 6, 1])))


@each_cell
def test_outputs_are_zero_at_padding_and_an_empty_sequence_ends_where_it_began(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    state = random_state(layer, 3)
    lengths = torch.tensor([2, 0, 6])
    outputs, end = layer(random_inputs(3), lengths, state)
    for row, length in enumerate(lengths.tolist()):
        assert not outputs[row, length:].any()
        # A rectifier's outputs may be zero elsewhere too.
        assert outputs[row, :length].any() if kind == "rnn_relu" and length else outputs[row, :length].all()
    for before, after in zip(state.layers, end.layers, strict=True):
        assert before.backward is not None
        assert after.backward is not None
        for name in before.forward:
            assert torch.equal(before.forward[name][1], after.forward[name][1])
            assert torch.equal(before.backward[name][1], after.backward[name][1])


@each_cell
@each_depth
@pytest.mark.parametrize("chunk_sizes", [(1, 5), (4, 2), (2, 0, 3, 1)], ids=str)
def test_chunks_equal_the_whole(kind: CellKind, num_layers: int, chunk_sizes: tuple[int, ...]) -> None:
    layer = random_layer(kind, num_layers=num_layers)
    assert_chunks_equal_whole(layer, random_inputs(3), chunk_sizes=chunk_sizes)
    lengths = torch.tensor([4, 0, 6])
    assert_chunks_equal_whole(layer, random_inputs(3), lengths, chunk_sizes=chunk_sizes, state=random_state(layer, 3))


@each_cell
@each_depth
def test_steps_equal_the_whole(kind: CellKind, num_layers: int) -> None:
    layer = random_layer(kind, num_layers=num_layers)
    assert_steps_equal_whole(layer, random_inputs(3))
    state = random_state(layer, 3)
    assert_steps_equal_whole(layer, random_inputs(3), state=state, whole=lambda inputs: layer(inputs, None, state)[0])


# --- state -------------------------------------------------------------------------------------------------------


@each_cell
def test_select_takes_rows_in_any_order_and_number(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    state = layer(random_inputs(3)).state
    rows = torch.tensor([2, 0, 2, 2])
    chosen = state.select(rows)
    for before, after in zip(state.layers, chosen.layers, strict=True):
        assert before.backward is not None
        assert after.backward is not None
        for name in before.forward:
            assert torch.equal(after.forward[name], before.forward[name][rows])
            assert torch.equal(after.backward[name], before.backward[name][rows])
    assert torch.equal(chosen.last(), state.last()[rows])
    assert state.last().shape == (3, 2 * HIDDEN_DIM)


@each_cell
def test_detach_cuts_the_graph(kind: CellKind) -> None:
    layer = random_layer(kind)
    inputs = random_inputs(2).requires_grad_()
    state = layer(inputs).state
    layer(random_inputs(2), None, state.detach()).outputs.sum().backward()
    assert inputs.grad is None
    assert layer.layers[0].forward_cell.input_weight.grad.any()
    layer(random_inputs(2), None, state).outputs.sum().backward()
    assert inputs.grad is not None


# --- trace -------------------------------------------------------------------------------------------------------


@each_cell
@each_direction
def test_trace_is_a_loop_over_the_cell(kind: CellKind, bidirectional: bool) -> None:
    layer = random_layer(kind, bidirectional=bidirectional, num_layers=2)
    inputs, lengths, state = random_inputs(4), torch.tensor([4, 0, 6, 1]), random_state(layer, 4)
    traced = layer.trace(inputs, lengths, state)
    ordinary = layer(inputs, lengths, state)
    assert torch.allclose(traced.output.outputs, ordinary.outputs, rtol=1e-12, atol=1e-14)
    assert torch.allclose(traced.output.state.last(), ordinary.state.last(), rtol=1e-12, atol=1e-14)
    for row, length in enumerate(lengths.tolist()):
        below = inputs[row, :length]
        for number, parts in enumerate(layer.layers):
            directions = [(parts.forward_cell, traced.layers[number].forward, state.layers[number].forward, 1)]
            if bidirectional:
                trace, start = traced.layers[number].backward, state.layers[number].backward
                assert trace is not None
                assert start is not None
                directions.append((parts.backward_cell, trace, start, -1))
            else:
                assert traced.layers[number].backward is None
            above = []
            for cell, trace, start, way in directions:
                assert tuple(trace.gates) == cell.gates
                assert tuple(trace.states) == cell.state_names
                outputs = [torch.zeros(0)] * length
                step_state = {name: tensor[row : row + 1] for name, tensor in start.items()}
                for t in range(length)[::way]:
                    result = cell(below[t : t + 1], step_state)
                    step_state, outputs[t] = result.state, result.output[0]
                    for name, tensor in result.gates.items():
                        torch.testing.assert_close(trace.gates[name][row, t], tensor[0], rtol=1e-10, atol=1e-12)
                    for name, tensor in result.state.items():
                        torch.testing.assert_close(trace.states[name][row, t], tensor[0], rtol=1e-10, atol=1e-12)
                dims = [cell.gate_dim] * len(cell.gates) + list(cell.state_dims.values())
                for tensor, dim in zip((*trace.gates.values(), *trace.states.values()), dims, strict=True):
                    assert tensor.shape == (4, TIME, dim)
                    assert not tensor[row, length:].any(), "a trace is zero at padding"
                above.append(torch.stack(outputs) if outputs else torch.zeros(0, HIDDEN_DIM, dtype=torch.float64))
            below = torch.cat(above, dim=1)


def test_a_trace_of_nothing_has_the_kind_of_the_layer() -> None:
    traced = random_layer("lstm").trace(random_inputs(2), torch.tensor([0, 0])).layers[0].forward
    for tensor in (*traced.gates.values(), *traced.states.values()):
        assert tensor.shape == (2, TIME, HIDDEN_DIM)
        assert tensor.dtype == torch.float64
        assert not tensor.any()


# --- dropout, saving, copying, compiling -------------------------------------------------------------------------


def test_dropout_lies_between_layers_and_only_in_training() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, TIME, INPUT_DIM)
    for num_layers, changes in ((1, False), (2, True)):
        layer = GRU(INPUT_DIM, HIDDEN_DIM, num_layers=num_layers, dropout_p=0.5)
        assert torch.equal(layer(inputs).outputs, layer(inputs).outputs) is not changes
        layer.eval()
        assert torch.equal(layer(inputs).outputs, layer(inputs).outputs)


def test_names_in_a_state_dict_outlive_the_code() -> None:
    """A run folder written today names its tensors so: a change here needs a migration of old folders."""
    layer = GRU(3, 4, num_layers=2, bidirectional=True, reset="after")
    shapes = {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}
    assert shapes == {
        f"layers.{number}.{direction}_cell.{name}": shape
        for number, dim in ((0, 3), (1, 8))
        for direction in ("forward", "backward")
        for name, shape in {
            "input_weight": (12, dim),
            "recurrent_weight": (12, 4),
            "bias": (12,),
            "candidate_bias": (4,),
        }.items()
    }
    assert list(GRU(3, 4).state_dict()) == [
        f"layers.0.forward_cell.{name}" for name in ("input_weight", "recurrent_weight", "bias")
    ]


@each_cell
def test_weights_survive_a_file_without_pickle(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    other = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, bidirectional=True, num_layers=2).double()
    file = io.BytesIO(save_safetensors(layer.state_dict()))
    other.load_state_dict(load_safetensors(file.getvalue()), strict=True)
    assert_same_function(other, layer, random_inputs(2), torch.tensor([6, 2]), gradients="all", tolerance=0.0)


@each_cell
def test_a_copy_is_its_own(kind: CellKind) -> None:
    layer = random_layer(kind)
    other = copy.deepcopy(layer)
    assert_same_function(other, layer, random_inputs(2), gradients="all", tolerance=0.0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert layer(random_inputs(2)).outputs.any()


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.skipif(hasattr(RecurrentLayer.forward, "__wrapped__"), reason="checks of shapes cannot be traced")
@pytest.mark.usefixtures("fresh_compiler")
def test_torch_compile_and_export() -> None:
    layer = random_layer("gru", bidirectional=True)
    inputs = random_inputs(3, 2)
    assert_same_function(torch.compile(layer, backend="eager", fullgraph=True), layer, inputs)
    # Lengths are read, so a graph cannot hold them: torch.compile breaks it there, torch.export cannot.
    assert_same_function(torch.compile(layer, backend="eager"), layer, inputs, torch.tensor([2, 0, 1]))
    assert_same_function(torch.export.export(layer, (inputs,)).module(), layer, inputs)
