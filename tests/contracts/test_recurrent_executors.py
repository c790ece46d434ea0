"""The generic executor is the reference: outputs, states, gradients, memory."""

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlens.cells import CellKind, build_cell
from seqlens.layers import RecurrentOutput
from seqlens.layers.build import build_recurrent
from seqlens.testing import assert_same_function
from tests.contracts.recurrent import (
    CELLS,
    HIDDEN_DIM,
    INPUT_DIM,
    LENGTHS,
    Part,
    assert_executors_agree,
    each_cell,
    each_depth,
    each_direction,
    random_inputs,
    random_layer,
    random_state,
    with_executor,
)
from tests.draws import draws


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


@draws(25)
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


def test_a_second_derivative_is_an_error_not_a_missing_term() -> None:
    inputs = random_inputs(2).requires_grad_()
    layer = random_layer("gru")
    with pytest.raises(RuntimeError, match="use executor='reference'"):
        torch.autograd.grad(layer(inputs).outputs.sum(), inputs, create_graph=True)
    outputs = with_executor(layer, "reference")(inputs).outputs
    (slope,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
    assert torch.autograd.grad(slope.square().sum(), inputs)[0].any()
