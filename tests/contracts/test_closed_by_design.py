"""Threads of other projects whose fault cannot happen here: a test for each, named after it.

`docs/closed-by-design.md` has a line for each; the last test here holds that page and this file together.
"""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlens.cells import CellState, GRUCell, LSTMCell
from seqlens.cells import gru as gru_module
from seqlens.layers import GRU, LSTM, RNN, Attention, LinearChainCRF, MinGRU, MultiHeadAttention, RecurrentLayer
from seqlens.layers.build import build_recurrent
from seqlens.testing import assert_chunks_equal_whole, assert_padding_invariant

PAGE = Path(__file__).parents[2] / "docs" / "closed-by-design.md"
DIM = 3
LENGTHS = torch.tensor([4, 0, 6, 1])


def random_inputs(batch: int = 4, time: int = 6, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, time, DIM, generator=torch.Generator().manual_seed(1), dtype=dtype)


def randomised(layer: RecurrentLayer) -> RecurrentLayer:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    return layer.double()


def padded(inputs: Tensor, lengths: Tensor, steps: int, fill: float) -> Tensor:
    """The inputs with more steps after them, and `fill` wherever no sequence is."""
    longer = torch.cat((inputs, inputs.new_zeros(len(inputs), steps, inputs.shape[2])), dim=1)
    return longer.masked_fill((torch.arange(longer.shape[1]) >= lengths[:, None])[:, :, None], fill)


# --- padding -----------------------------------------------------------------------------------------------------


def test_pytorch_517_a_backward_direction_starts_at_the_last_real_step() -> None:
    for kind in ("rnn", "lstm", "gru", "gru_after"):
        layer = randomised(build_recurrent(kind, DIM, 4, num_layers=2, bidirectional=True))
        assert_padding_invariant(layer, (random_inputs(), LENGTHS))


def test_keras_4192_states_do_not_depend_on_how_much_padding_there_is() -> None:
    layer = randomised(RNN(DIM, 4, bidirectional=True))
    expected = layer(random_inputs(), LENGTHS)
    for steps in (0, 1, 9):
        found = layer(padded(random_inputs(), LENGTHS, steps, 0.0), LENGTHS)
        assert torch.equal(found.outputs[:, :6], expected.outputs)
        assert torch.equal(found.state.last(), expected.state.last())


def test_speechbrain_501_a_sequence_gets_the_same_in_a_batch_of_any_size() -> None:
    layer = randomised(LSTM(DIM, 4, num_layers=2, bidirectional=True))
    inputs, lengths = random_inputs(8), torch.tensor([3, 6, 0, 1, 5, 2, 6, 4])
    alone = [layer(inputs[row : row + 1, : lengths[row]]).outputs[0] for row in range(8)]
    for size in (1, 3, 8):
        for rows in torch.arange(8).split(size):
            outputs = layer(inputs[rows], lengths[rows]).outputs
            for row, found in zip(rows, outputs, strict=True):
                torch.testing.assert_close(found[: lengths[row]], alone[row], rtol=1e-10, atol=1e-12)


def test_keras_1300_biases_do_not_run_through_padding() -> None:
    layer = randomised(GRU(DIM, 4, bidirectional=True))
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(3.0)
    state = layer(padded(random_inputs(), LENGTHS, 5, 0.0), LENGTHS).state
    for row, length in enumerate(LENGTHS.tolist()):
        alone = layer(random_inputs()[row : row + 1, :length]).state
        torch.testing.assert_close(state.last()[row], alone.last()[0], rtol=1e-10, atol=1e-12)
    assert not state.last()[1].any(), "nothing was read, so nothing came of the biases"


def test_pytorch_11514_a_sequence_of_no_steps_ends_where_it_began() -> None:
    layer = randomised(LSTM(DIM, 4, num_layers=2, bidirectional=True))
    inputs = random_inputs().requires_grad_()
    outputs, state = layer(inputs, LENGTHS)
    assert not outputs[1].any()
    assert not state.last("cell")[1].any()
    (outputs.sum() + state.last().sum()).backward()
    assert inputs.grad is not None
    assert not inputs.grad[1].any()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
    empty = layer(inputs, torch.zeros(4, dtype=torch.int64))
    assert not empty.outputs.any()
    assert layer(inputs[:, :0]).outputs.shape == (4, 0, 8)


def test_pytorch_43227_lengths_may_be_anywhere_and_in_any_order() -> None:
    layer = randomised(GRU(DIM, 4))
    expected = layer(random_inputs(), LENGTHS).outputs
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        for kind in (torch.int64, torch.int32, torch.int16):
            assert torch.equal(layer(random_inputs(), LENGTHS.to(device, kind)).outputs, expected)
    crf, tags = LinearChainCRF(DIM).double(), torch.zeros(4, random_inputs().shape[1], dtype=torch.int64)
    for kind in (torch.int32, torch.int16, torch.int8):
        assert torch.equal(crf(random_inputs(), LENGTHS.to(kind), tags), crf(random_inputs(), LENGTHS, tags))
        assert_chunks_equal_whole(layer, random_inputs(), LENGTHS.to(kind), chunk_sizes=(3, 3))
    order = torch.tensor([2, 3, 0, 1])
    torch.testing.assert_close(layer(random_inputs()[order], LENGTHS[order]).outputs, expected[order])


def test_opennmt_py_67_attention_in_training_gives_padding_no_weight() -> None:
    keys, lengths = random_inputs(), torch.tensor([4, 2, 6, 1])
    for score in ("dot", "additive", "bilinear"):
        attention = Attention(DIM, DIM, score=score).double().train()
        weights = attention(random_inputs(time=2), attention.prepare(keys, lengths=lengths)).weights
        for row, length in enumerate(lengths.tolist()):
            assert not weights[row, :, length:].any()
        torch.testing.assert_close(weights.sum(2), torch.ones(4, 2, dtype=weights.dtype))


def test_pytorch_41508_a_query_without_any_key_gives_zeros_and_finite_gradients() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(4, 2, window=1).double()
    inputs = torch.randn(3, 5, 4, dtype=torch.float64).requires_grad_()
    memory = attention.prepare(inputs, torch.tensor([5, 0, 2]))
    mixed = attention(inputs, memory, causal=True)
    assert torch.equal(mixed[1], attention.output(torch.zeros(5, 4, dtype=torch.float64)))
    mixed.square().sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in attention.parameters())


# --- speed and length --------------------------------------------------------------------------------------------


def test_pytorch_149194_only_real_steps_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    forward = gru_module.GRUGatesStage.forward

    def counting(stage: Any, input_part: Tensor, product: Tensor, values: Any) -> Any:
        rows.append(len(product))
        return forward(stage, input_part, product, values)

    monkeypatch.setattr(gru_module.GRUGatesStage, "forward", counting)
    lengths = torch.tensor([50, 3, 0, 7])
    GRU(DIM, 4, executor="generic")(random_inputs(4, 50, torch.float32), lengths)
    assert sum(rows) == 60
    assert rows == sorted(rows, reverse=True)


@pytest.mark.parametrize("make", [LSTM, RNN, MinGRU])
def test_pytorch_133751_sequences_may_have_more_than_65535_steps(make: type[RecurrentLayer]) -> None:
    torch.manual_seed(0)
    layer: RecurrentLayer = make(DIM, 4)  # type: ignore[call-arg]
    inputs, lengths = random_inputs(2, 70_000, torch.float32), torch.tensor([70_000, 65_536])
    with torch.no_grad():
        outputs, end = layer(inputs, lengths)
        pieces, state = [], None
        for first in range(0, 70_000, 10_000):
            piece, state = layer(inputs[:, first : first + 10_000], (lengths - first).clamp(0, 10_000), state)
            pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, dim=1), outputs)
    assert state is not None
    torch.testing.assert_close(state.last(), end.last())


def keras_lstm(units: int) -> Any:
    """What `from_keras` reads of a layer of Keras, which need not be installed."""
    generator = np.random.default_rng(0)
    arrays = [
        generator.normal(size=shape).astype("float32") for shape in ((DIM, 4 * units), (units, 4 * units), (4 * units,))
    ]
    config = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    methods = {"get_config": lambda _: config, "get_weights": lambda _: arrays}
    return type("LSTM", (), methods)()


def test_keras_20902_an_lstm_of_keras_runs_as_fast_as_torchs() -> None:
    """That is: in torch's own fused layer, whose function it is."""
    layer = LSTM.from_keras(keras_lstm(4))
    assert "torch's fused layer runs" in layer.explain()
    inputs = random_inputs(dtype=torch.float32)
    torch.testing.assert_close(layer(inputs).outputs, layer.to_torch()(inputs)[0])


# --- state -------------------------------------------------------------------------------------------------------


def test_pytorch_4145_every_state_has_the_batch_first() -> None:
    layer = LSTM(DIM, 4, variant="projected", cell_dim=7, num_layers=3, bidirectional=True)
    state = layer(random_inputs(5, dtype=torch.float32)).state
    assert len(state.layers) == 3
    for sides in state.layers:
        for side in sides:
            assert side is not None
            assert {name: tuple(tensor.shape) for name, tensor in side.items()} == {"hidden": (5, 4), "cell": (5, 7)}
    assert state.last().shape == (5, 8)


def test_pytorch_3587_directions_of_a_state_have_names() -> None:
    layer = randomised(GRU(DIM, 4, num_layers=2, bidirectional=True))
    outputs, state = layer(random_inputs(), LENGTHS)
    top = state.layers[-1]
    assert top.backward is not None
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            assert torch.equal(top.forward["hidden"][row], outputs[row, length - 1, :4])
            assert torch.equal(top.backward["hidden"][row], outputs[row, 0, 4:])


def test_pytorch_8938_the_cell_of_every_step_can_be_had() -> None:
    layer = LSTM(DIM, 4)
    assert "fused layer runs" in layer.explain()
    inputs = random_inputs(dtype=torch.float32)
    cells = layer.trace(inputs).layers[0].forward.states["cell"]
    state = layer.initial_state(4)
    for step, x_t in enumerate(inputs.unbind(1)):
        _, state = layer.step(x_t, state)
        torch.testing.assert_close(cells[:, step], state.last("cell"))


# --- cells -------------------------------------------------------------------------------------------------------


def test_pytorch_8153_both_grus_are_there_and_say_which_they_are() -> None:
    torch.manual_seed(0)
    before = GRUCell(DIM, DIM, bias=False, reset="before").double()
    after = GRUCell(DIM, DIM, bias=False, reset="after").double()
    after.load_state_dict(before.state_dict())
    x_t, hidden = random_inputs(4, 2).unbind(1)
    reset, update, candidate = (before.input_weight @ x_t.T).T.chunk(3, dim=1)
    of_reset, of_update, of_candidate = before.recurrent_weight.chunk(3)
    r, z = torch.sigmoid(reset + hidden @ of_reset.T), torch.sigmoid(update + hidden @ of_update.T)
    for cell, product in ((before, (r * hidden) @ of_candidate.T), (after, r * (hidden @ of_candidate.T))):
        expected = (1 - z) * hidden + z * torch.tanh(candidate + product)
        torch.testing.assert_close(cell(x_t, {"hidden": hidden}).output, expected)


def test_pytorch_9572_norm_zoneout_and_recurrent_dropout_go_together_and_stay_fast() -> None:
    layer = LSTM(
        DIM,
        4,
        variant="layer_norm",
        zoneout_p=0.1,
        recurrent_dropout_p=0.2,
        weight_dropout_p=0.3,
        dropout_p=0.1,
        num_layers=2,
    )
    assert "generic executor runs" in layer.explain()
    slow = copy.deepcopy(layer)
    slow.executor = "reference"
    found = []
    for each in (layer, slow):
        torch.manual_seed(3)
        found.append(each(random_inputs(dtype=torch.float32), LENGTHS).outputs)
    torch.testing.assert_close(*found)


def test_pytorch_6760_an_lstm_with_layer_norm_does_not_see_the_scale_of_its_weights() -> None:
    layer = LSTM(DIM, 16, variant="layer_norm")
    inputs = random_inputs(dtype=torch.float32)
    expected = layer(inputs).outputs
    with torch.no_grad():
        layer.layers[0].forward_cell.input_weight.mul_(5.0)
        layer.layers[0].forward_cell.recurrent_weight.mul_(5.0)
    torch.testing.assert_close(layer(inputs).outputs, expected, rtol=0.0, atol=2e-2)
    plain = LSTM(DIM, 16)
    before = plain(inputs).outputs
    with torch.no_grad():
        plain.layers[0].forward_cell.input_weight.mul_(5.0)
    assert (plain(inputs).outputs - before).abs().max() > 0.1


def test_pytorch_561_zoneout_keeps_an_entry_or_lets_the_cell_have_it() -> None:
    layer = randomised(LSTM(DIM, 50, zoneout_p=0.5))
    cell = layer.layers[0].forward_cell
    assert isinstance(cell, LSTMCell)
    traced = layer.trace(random_inputs())
    states = traced.layers[0].forward.states
    before: CellState = cell.initial_state(4)
    kept = []
    for step, x_t in enumerate(random_inputs().unbind(1)):
        new = cell(x_t, before).state
        now = {name: states[name][:, step] for name in states}
        for name in now:
            stays = torch.isclose(now[name], before[name], rtol=0.0, atol=1e-12)
            assert (stays | torch.isclose(now[name], new[name], rtol=0.0, atol=1e-12)).all()
            kept.append(stays.double().mean())
        before = now
    assert abs(torch.stack(kept).mean() - 0.5) < 0.1


def test_pytorch_37731_recurrent_dropout_has_one_mask_for_all_steps() -> None:
    """An identity for a recurrent weight: what is dropped once is dropped at every step."""
    layer = RNN(1, 200, activation="relu", recurrent_dropout_p=0.25, start="identity")
    with torch.no_grad():
        layer.layers[0].forward_cell.input_weight.fill_(1.0)
    inputs = torch.zeros(2, 5, 1)
    inputs[:, 0] = 1.0
    kept = layer(inputs).outputs[:, 1:] > 0
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    assert not torch.equal(kept[0], kept[1])


# --- other people's tools ----------------------------------------------------------------------------------------


def test_captum_564_gradients_in_evaluation_mode() -> None:
    """Integrated gradients by hand: what each input counts for adds up to the change of the answer."""
    torch.manual_seed(0)
    layer = LSTM(DIM, 8).eval()
    assert "fused layer runs" in layer.explain()
    inputs = random_inputs(1, dtype=torch.float32)
    shares = (torch.arange(200) + 0.5) / 200
    path = (shares[:, None, None] * inputs).requires_grad_()
    layer(path).state.last().sum().backward()
    assert path.grad is not None
    attributed = (path.grad.mean(0) * inputs[0]).sum()
    change = layer(inputs).state.last().sum() - layer(torch.zeros_like(inputs)).state.last().sum()
    torch.testing.assert_close(attributed, change, rtol=1e-3, atol=1e-4)


def in_a_process_of_its_own(what: str, kind: str) -> None:
    """There no shapes are checked at run time, which a compiler cannot trace."""
    script = Path(__file__).with_name("outside_the_toolkit.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), what, kind]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]


def test_onnxruntime_11830_what_is_exported_takes_other_batches_and_lengths() -> None:
    in_a_process_of_its_own("export_with_lengths", "rnn")


def test_pytorch_118740_a_compiler_sees_one_graph_without_a_break() -> None:
    in_a_process_of_its_own("compile_whole", "rnn")


def test_pytorch_98505_the_fused_attention_gives_its_weights_when_asked() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(4, 2).double()
    memory = attention.prepare(torch.randn(3, 5, 4, dtype=torch.float64), torch.tensor([5, 2, 4]))
    query = torch.randn(3, 6, 4, dtype=torch.float64)
    weights = attention.weights(query, memory)
    mixed = (weights @ memory.values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(query, memory), attention.output(mixed))
    asked = attention.weights(query, memory, heads=[1], rows=[2], queries=[4, 0])
    torch.testing.assert_close(asked, weights[2:3, 1:2, [4, 0]])


def test_pytorch_49791_keys_and_values_are_kept_from_step_to_step() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(4, 2, rotary=True).double()
    inputs = torch.randn(2, 6, 4, dtype=torch.float64)
    whole = attention(inputs, attention.prepare(inputs), causal=True)
    memory = attention.prepare(inputs[:, :1])
    for step in range(6):
        x_t = inputs[:, step : step + 1]
        if step:
            memory = memory.append(attention.prepare(x_t, start=step))
        torch.testing.assert_close(attention(x_t, memory, start=step)[:, 0], whole[:, step])
    gru = randomised(GRU(DIM, 4))
    assert_chunks_equal_whole(gru, random_inputs(), chunk_sizes=(2, 3, 1))


# --- the page ----------------------------------------------------------------------------------------------------


def test_the_page_and_this_file_have_the_same_threads() -> None:
    links = re.findall(
        r"\[([\w.-]+)#(\d+)\]\(https://github\.com/[\w.-]+/([\w.-]+)/issues/(\d+)\)", PAGE.read_text("utf-8")
    )
    assert len(links) >= 20
    assert all(label == repository and number == other for label, number, repository, other in links)
    threads = [re.sub(r"[^a-z]", "_", label.lower()) + "_" + number for label, number, _, _ in links]
    assert len(set(threads)) == len(threads)
    tests = [name.removeprefix("test_") for name in globals() if re.match(r"test_[a-z_]+_\d+_", name)]
    for thread in threads:
        assert sum(test.startswith(thread + "_") for test in tests) == 1, f"no test is named after {thread}"
    for test in tests:
        assert sum(test.startswith(thread + "_") for thread in threads) == 1, f"the page does not know test_{test}"
