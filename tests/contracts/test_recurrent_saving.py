"""Recurrent layers saved, copied and compiled; dropout between layers."""

import copy
import io
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from seqlens.cells import CellKind
from seqlens.layers import GRU, RecurrentLayer
from seqlens.layers.build import build_recurrent
from seqlens.testing import assert_same_function
from tests.contracts.recurrent import (
    HIDDEN_DIM,
    INPUT_DIM,
    TIME,
    each_cell,
    random_inputs,
    random_layer,
)


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
