"""Zoneout, variational dropout and DropConnect: masks drawn once, so every executor computes the same with them."""

import itertools
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from seqlens.cells import CellKind
from seqlens.layers import GRU, LSTM, RNN, MinGRU, RecurrentLayer, RecurrentOutput
from seqlens.layers.build import build_recurrent
from seqlens.layers.executors.choose import ExecutorChoice
from seqlens.testing import (
    assert_chunks_equal_whole,
    assert_padding_invariant,
    assert_same_function,
    assert_steps_equal_whole,
)

CELLS: tuple[CellKind, ...] = get_args(CellKind)
INPUT_DIM, HIDDEN_DIM, TIME = 3, 4, 6
OPTIONS: dict[str, dict[str, Any]] = {
    "zoneout": {"zoneout_p": 0.3},
    "zoneout of the cell alone": {"cell_zoneout_p": 0.4},
    "recurrent dropout": {"recurrent_dropout_p": 0.4},
    "weight dropout": {"weight_dropout_p": 0.4},
    "all": {"zoneout_p": 0.2, "cell_zoneout_p": 0.5, "recurrent_dropout_p": 0.3, "weight_dropout_p": 0.3},
}

each_cell = pytest.mark.parametrize("kind", CELLS)
each_option = pytest.mark.parametrize("option", OPTIONS)


def random_layer(kind: CellKind, option: str, **more: Any) -> RecurrentLayer:
    options = OPTIONS[option]
    if kind in ("min_gru", "min_lstm"):
        options = {name: p for name, p in options.items() if "dropout" not in name}
    torch.manual_seed(0)
    layer = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, **options, **more).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    return layer


def random_inputs(batch: int, time: int = TIME) -> Tensor:
    return torch.randn(batch, time, INPUT_DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Seeded(nn.Module):
    """A layer with one executor, whose every call draws the same masks."""

    def __init__(self, layer: RecurrentLayer, executor: ExecutorChoice) -> None:
        super().__init__()
        self.layer, self.executor = layer, executor

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> RecurrentOutput:
        torch.manual_seed(7)
        self.layer.executor = self.executor
        return self.layer(inputs, lengths)


@each_cell
@each_option
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_fast_is_the_reference_under_randomness(kind: CellKind, option: str, training: bool) -> None:
    layer = random_layer(kind, option, bidirectional=True, num_layers=2).train(training)
    lengths = torch.tensor([4, 0, 6, 1])
    executors: list[ExecutorChoice] = ["auto", "generic"]
    for executor, given in itertools.product(executors, (lengths, None)):
        assert_same_function(
            Seeded(layer, executor), Seeded(layer, "reference"), random_inputs(4), given, gradients="all"
        )


@each_cell
@each_option
def test_masks_are_drawn_anew_and_follow_the_seed(kind: CellKind, option: str) -> None:
    layer = random_layer(kind, option)
    has_state, is_minimal = option != "zoneout of the cell alone" or "lstm" in kind, kind in ("min_gru", "min_lstm")
    has_mask = has_state and not (is_minimal and option not in ("zoneout", "all"))
    has_mask = has_mask and not (kind == "min_lstm" and option == "zoneout of the cell alone")
    first, second = layer(random_inputs(3)).outputs, layer(random_inputs(3)).outputs
    assert torch.equal(first, second) is not has_mask
    same = Seeded(layer, "auto")
    assert torch.equal(same(random_inputs(3)).outputs, same(random_inputs(3)).outputs)
    layer.eval()
    assert torch.equal(layer(random_inputs(3)).outputs, layer(random_inputs(3)).outputs)


@each_cell
@each_option
def test_more_padding_draws_the_same(kind: CellKind, option: str) -> None:
    layer = Seeded(random_layer(kind, option, bidirectional=True, num_layers=2), "auto")
    lengths = torch.tensor([4, 0, 6, 1])
    inputs = random_inputs(4)
    padded = torch.full((4, TIME + 3, INPUT_DIM), torch.nan, dtype=torch.float64)
    padded[:, :TIME] = inputs
    whole, longer = layer(inputs, lengths), layer(padded, lengths)
    assert torch.equal(whole.outputs, longer.outputs[:, :TIME])
    assert not longer.outputs[:, TIME:].any()
    assert torch.equal(whole.state.last(), longer.state.last())


@each_cell
def test_evaluation_keeps_the_promises(kind: CellKind) -> None:
    """The expectation of zoneout is a function like any other: of no padding, in chunks, in steps."""
    layer = random_layer(kind, "all", num_layers=2).eval()
    assert_padding_invariant(layer, (random_inputs(4), torch.tensor([3, 0, 6, 1])))
    assert_chunks_equal_whole(layer, random_inputs(3), chunk_sizes=(2, 0, 3, 1))
    assert_steps_equal_whole(layer, random_inputs(3))


@each_cell
def test_a_trace_sees_the_same_masks(kind: CellKind) -> None:
    layer = random_layer(kind, "all", bidirectional=True)
    lengths = torch.tensor([4, 0, 6, 1])
    output = Seeded(layer, "auto")(random_inputs(4), lengths)
    torch.manual_seed(7)
    traced = layer.trace(random_inputs(4), lengths)
    torch.testing.assert_close(traced.output.outputs, output.outputs)
    torch.testing.assert_close(traced.layers[0].forward.states["hidden"], output.outputs[..., :HIDDEN_DIM])


# --- what each mask means ----------------------------------------------------------------------------------------


def test_zoneout_keeps_or_renews_each_entry() -> None:
    """Krueger et al. 2017, equation 4, by hand: a cell without weights steps from 0 to its bias and stays."""
    layer = RNN(1, 2000, zoneout_p=0.25)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(0.0)
        layer.layers[0].forward_cell.bias.fill_(0.5)
    new = torch.tensor(0.5).tanh()
    first, second = layer(torch.zeros(1, 2, 1)).outputs[0]
    for entries, kept in ((first, 0.25), (second, 0.25**2)):
        assert ((entries == 0) | (entries == new)).all()
        assert abs((entries == 0).double().mean().item() - kept) < 0.03
    assert (second[first == new] == new).all()
    expected = layer.eval()(torch.zeros(1, 2, 1)).outputs[0, :, 0]
    torch.testing.assert_close(expected, torch.stack((0.75 * new, (0.75 + 0.25 * 0.75) * new)))


def test_an_lstm_zones_its_two_states_apart() -> None:
    layer = LSTM(1, 2000, zoneout_p=0.5, cell_zoneout_p=0.1)
    state = layer(torch.ones(1, 1, 1)).state.layers[0].forward
    for name, p in (("hidden", 0.5), ("cell", 0.1)):
        assert abs((state[name] == 0).double().mean().item() - p) < 0.04, name


def test_recurrent_dropout_is_one_mask_a_sequence() -> None:
    """Gal & Ghahramani 2016, equation 7: with an identity for a recurrent weight, what is dropped stays dropped."""
    layer = RNN(1, 500, activation="relu", recurrent_dropout_p=0.25, start="identity")
    with torch.no_grad():
        layer.layers[0].forward_cell.input_weight.fill_(1.0)
    inputs = torch.zeros(3, 4, 1)
    inputs[:, 0] = 1.0
    outputs = layer(inputs).outputs
    assert torch.equal(outputs[:, 0], torch.ones(3, 500))
    kept = outputs[:, 1] > 0
    assert abs(kept.double().mean().item() - 0.75) < 0.05
    assert not torch.equal(kept[0], kept[1])
    for step in (1, 2, 3):
        torch.testing.assert_close(outputs[:, step], kept / 0.75**step)


def test_weight_dropout_drops_weights() -> None:
    """Merity et al. 2018, section 2: it is a layer whose recurrent weight lacks entries, for all sequences alike."""
    layer = GRU(3, 5, weight_dropout_p=0.4).double()
    cell = layer.layers[0].forward_cell
    torch.manual_seed(7)
    mask = layer.randomness.draw(cell, rows=2, steps=8, training=True).weight
    assert mask is not None
    assert mask.shape == cell.recurrent_weight.shape
    found = Seeded(layer, "auto")(torch.ones(2, 4, 3, dtype=torch.float64)).outputs
    plain = GRU(3, 5).double()
    plain.load_state_dict(layer.state_dict())
    with torch.no_grad():
        plain.layers[0].forward_cell.recurrent_weight.mul_(mask)
    torch.testing.assert_close(found, plain(torch.ones(2, 4, 3, dtype=torch.float64)).outputs)
    torch.testing.assert_close(found[0], found[1])
    values = mask.unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.6], dtype=torch.float64), rtol=1e-4, atol=0.0)


# --- what cannot be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zoneout_p", "cell_zoneout_p", "recurrent_dropout_p", "weight_dropout_p"])
@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_a_probability_out_of_range_is_refused(name: str, p: float) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0 and below 1, but is {p}"):
        LSTM(2, 2, **{name: p})


def test_a_cell_that_multiplies_no_state_has_nothing_to_drop() -> None:
    for name in ("recurrent_dropout_p", "weight_dropout_p"):
        with pytest.raises(ValueError, match="MinGRUCell multiplies no state by a weight"):
            MinGRU(2, 2, **{name: 0.1})


def test_a_single_step_cannot_keep_a_mask() -> None:
    for name in ("recurrent_dropout_p", "weight_dropout_p"):
        layer = LSTM(2, 2, **{name: 0.1})
        with pytest.raises(ValueError, match="cannot keep one mask for all steps"):
            layer.step(torch.zeros(1, 2), layer.initial_state(1))
        layer.eval().step(torch.zeros(1, 2), layer.initial_state(1))
    zoned = LSTM(2, 2, zoneout_p=0.5)
    assert zoned.step(torch.zeros(1, 2), zoned.initial_state(1))[0].shape == (1, 2)
