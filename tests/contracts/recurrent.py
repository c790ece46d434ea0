"""What the contract tests of recurrent layers share: every cell, layers of random weights, lengths of every sort."""

import copy
from typing import Literal, final, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seqlens.cells import CellKind
from seqlens.layers import RecurrentLayer, RecurrentState
from seqlens.layers.build import build_recurrent
from seqlens.layers.executors.choose import ExecutorChoice
from seqlens.testing import assert_same_function

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


FUSED: tuple[CellKind, ...] = ("rnn", "rnn_relu", "lstm", "gru_after")
SCANNED: tuple[CellKind, ...] = ("min_gru", "min_lstm")


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
