"""Padding, chunks, steps and fast paths under drawn lengths, options and masks: every cell, direction, depth and dtype.

Five draws for each in an ordinary run; under `SEQLENS_SOAK` (`make soak`) 100,000 in all.
"""

from typing import Any, Literal, NamedTuple, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlens.cells import CellKind
from seqlens.layers import RecurrentLayer, RecurrentOutput, RecurrentState
from seqlens.layers.build import build_recurrent
from seqlens.layers.options import Merge
from seqlens.testing import (
    assert_chunks_equal_whole,
    assert_padding_invariant,
    assert_same_function,
    assert_steps_equal_whole,
)
from seqlens.testing.padding import FLOAT_FILLS
from tests.contracts.recurrent import CELLS, INPUT_DIM, SCANNED, random_state, with_executor
from tests.draws import draws

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
COMBINATIONS = len(CELLS) * 2 * 2 * len(DTYPES)

# Whether gradients are compared, and what is allowed as a part of the largest entry. Gradients through three layers and
# all steps multiply the roundings below them; a norm of rows divides by their spread, which may be small.
Look = tuple[bool, float]
LOOKS: dict[str, tuple[Look, ...]] = {
    "float64": ((True, 1e-10),),
    "float32": ((False, 1e-5), (True, 1e-4)),
    "float32 with layer norm": ((False, 1e-4), (True, 1e-3)),
    "bfloat16": ((False, 5e-2), (True, 2.5e-1)),
}


class Case(NamedTuple):
    """One draw: a layer with what it reads."""

    layer: RecurrentLayer
    inputs: Tensor
    lengths: Tensor
    state: RecurrentState | None
    fill: float
    chunks: tuple[int, ...]
    looks: tuple[Look, ...]


class Masked(nn.Module):
    """A layer in training, whose every call draws the same masks."""

    def __init__(self, layer: RecurrentLayer, seed: int) -> None:
        super().__init__()
        self.layer, self.seed = layer, seed

    def forward(self, inputs: Tensor, lengths: Tensor, state: RecurrentState | None) -> RecurrentOutput:
        torch.manual_seed(self.seed)
        return self.layer.train()(inputs, lengths, state)


def draw_case(data: st.DataObject, kind: CellKind, bidirectional: bool, num_layers: int, dtype: str) -> Case:
    chance = st.sampled_from((0.0, 0.0, 0.3))
    options: dict[str, Any] = {name: data.draw(chance) for name in ("zoneout_p", "cell_zoneout_p", "dropout_p")}
    if kind not in SCANNED:
        options |= {name: data.draw(chance) for name in ("recurrent_dropout_p", "weight_dropout_p")}
    options |= {name: data.draw(st.booleans()) for name in ("bias", "residual", "learned_state")}
    options["merge"] = data.draw(st.sampled_from(get_args(Merge)))
    hidden_dim, time, seed = (
        data.draw(st.integers(3, 6)),
        data.draw(st.integers(0, 5)),
        data.draw(st.integers(0, 2**20)),
    )
    lengths = data.draw(st.lists(st.integers(0, time), min_size=1, max_size=3))
    torch.manual_seed(seed)
    layer = build_recurrent(kind, INPUT_DIM, hidden_dim, num_layers=num_layers, bidirectional=bidirectional, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    layer = layer.to(DTYPES[dtype])
    inputs = torch.randn(len(lengths), time, INPUT_DIM).to(DTYPES[dtype])
    first = data.draw(st.integers(0, time))
    return Case(
        layer,
        inputs,
        torch.tensor(lengths, dtype=torch.int64),
        random_state(layer, len(lengths)) if data.draw(st.booleans()) else None,
        data.draw(st.sampled_from(FLOAT_FILLS)),
        (first, 0, time - first),
        LOOKS.get(dtype + " with layer norm" * kind.endswith("layer_norm"), LOOKS[dtype]),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"])
@pytest.mark.parametrize("kind", CELLS)
@draws(5, many=-(-100_000 // COMBINATIONS))
@given(data=st.data())
def test_the_promises_hold(
    kind: CellKind, bidirectional: bool, num_layers: int, dtype: str, data: st.DataObject
) -> None:
    case = draw_case(data, kind, bidirectional, num_layers, dtype)
    layer, inputs, lengths = case.layer, case.inputs, case.lengths
    seed = data.draw(st.integers(0, 2**20))
    slow, fast = Masked(with_executor(layer, "reference"), seed), Masked(layer, seed)
    for gradients, tolerance in case.looks:
        which: Literal["all", "none"] = "all" if gradients else "none"
        assert_same_function(fast, slow, inputs, lengths, case.state, gradients=which, tolerance=tolerance)
    assert_more_padding_is_not_seen(fast, case)
    layer.eval()
    for gradients, tolerance in case.looks:
        options: dict[str, Any] = {"gradients": gradients, "tolerance": tolerance}
        assert_padding_invariant(layer, (inputs, lengths), fills=(case.fill,), **options)
        if not bidirectional:
            assert_chunks_equal_whole(layer, inputs, lengths, chunk_sizes=case.chunks, state=case.state, **options)
    if not bidirectional:
        start = layer.initial_state(len(inputs)) if case.state is None else case.state
        whole = lambda given: layer(given, None, start).outputs  # noqa: E731
        assert_steps_equal_whole(layer, inputs, state=start, whole=whole, tolerance=case.looks[0][1])


def assert_more_padding_is_not_seen(masked: Masked, case: Case) -> None:
    """In training too, under the same masks: nothing but the number of zeros behind the outputs changes."""
    rows, time = case.inputs.shape[:2]
    longer = torch.full((rows, time + 2, INPUT_DIM), case.fill, dtype=case.inputs.dtype)
    real = torch.arange(time) < case.lengths[:, None]
    longer[:, :time][real] = case.inputs[real]
    outputs, state = masked(case.inputs, case.lengths, case.state)
    found = masked(longer, case.lengths, case.state)
    assert torch.equal(found.outputs[:, :time], outputs)
    assert not found.outputs[:, time:].any()
    assert torch.equal(found.state.last(), state.last())
