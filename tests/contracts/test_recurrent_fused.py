"""torch's fused layers and the scan are the reference, run where they compute the same, and `explain` says so."""

import pytest
import torch

from seqlens.cells import CellKind
from seqlens.layers import GRU, LSTM, MinGRU
from seqlens.layers.build import build_recurrent
from seqlens.layers.executors.fused import exact_products
from tests.contracts.recurrent import (
    FUSED,
    INPUT_DIM,
    LENGTHS,
    SCANNED,
    TIME,
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


def test_on_a_gpu_float32_is_not_rounded_unless_all_products_are() -> None:
    own = torch.backends.cudnn.rnn
    before = own.fp32_precision
    with exact_products("cuda"):
        assert own.fp32_precision == "ieee"
    assert own.fp32_precision == before
    torch.set_float32_matmul_precision("high")
    try:
        with exact_products("cuda"):
            assert own.fp32_precision == before
    finally:
        torch.set_float32_matmul_precision("highest")
