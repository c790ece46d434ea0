"""The layers in other people's programs: saved, copied, compiled, exported, in lower precision, on two processes."""

import copy
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from seqlens.cells import CellKind
from seqlens.layers import RecurrentLayer
from seqlens.layers.build import build_recurrent
from seqlens.testing import assert_same_function

KINDS: tuple[CellKind, ...] = get_args(CellKind)
each_kind = pytest.mark.parametrize("kind", KINDS)
LENGTHS = torch.tensor([4, 0, 2])


def layer_of(kind: CellKind) -> RecurrentLayer:
    torch.manual_seed(0)
    return build_recurrent(kind, 3, 4, bidirectional=True, num_layers=2)


def random_inputs() -> torch.Tensor:
    return torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(1))


@each_kind
def test_weights_go_through_torchs_own_files_and_pickles(kind: CellKind) -> None:
    layer = layer_of(kind)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    pickled = pickle.loads(pickle.dumps(layer.state_dict()))
    for weights in (torch.load(file, weights_only=True), pickled):
        other = layer_of(kind)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        assert str(other.load_state_dict(weights)) == "<All keys matched successfully>"
        assert_same_function(other, layer, random_inputs(), LENGTHS, gradients="all", tolerance=0.0)


@each_kind
def test_a_layer_is_copied_and_pickled_whole(kind: CellKind) -> None:
    layer = layer_of(kind)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_same_function(other, layer, random_inputs(), LENGTHS, gradients="all", tolerance=0.0)
        with torch.no_grad():
            next(other.parameters()).zero_()
    assert next(layer.parameters()).any()


@each_kind
def test_shapes_alone_can_be_computed(kind: CellKind) -> None:
    """On torch's meta device, as tools that count parameters and shapes do."""
    layer = layer_of(kind).to("meta")
    outputs, state = layer(random_inputs().to("meta"))
    assert (outputs.shape, state.last().shape, outputs.device.type) == ((3, 4, 8), (3, 8), "meta")


@each_kind
def test_a_step_under_autocast_is_that_of_the_whole(kind: CellKind) -> None:
    torch.manual_seed(0)
    layer = build_recurrent(kind, 3, 4, num_layers=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = layer(random_inputs()).outputs
        state = layer.initial_state(3)
        for step, x_t in enumerate(random_inputs().unbind(1)):
            output, state = layer.step(x_t, state)
            assert (output.dtype, state.last().dtype) == (torch.bfloat16, torch.float32)
            torch.testing.assert_close(output, outputs[:, step], rtol=0.02, atol=0.02)


@each_kind
def test_autocast_lowers_products_and_keeps_states_and_weights(kind: CellKind) -> None:
    layer = layer_of(kind)
    expected = layer(random_inputs(), LENGTHS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = layer(random_inputs(), LENGTHS)
    assert (outputs.dtype, state.last().dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(outputs.float(), expected.outputs, rtol=0.05, atol=0.05)
    outputs.float().square().sum().backward()
    assert {p.grad.dtype for p in layer.parameters() if p.grad is not None} == {torch.float32}


CASES: list[tuple[str, tuple[CellKind, ...]]] = [
    ("compile_whole", ("lstm", "gru") if not os.environ.get("SEQLENS_SOAK") else KINDS),
    ("export_with_lengths", KINDS),
    ("export_without_lengths", KINDS),
    ("export_step", KINDS),
    ("export_language_model", ("gru",)),  # the kind is not asked for
    ("distribute", ("gru",)),
]


@pytest.mark.parametrize(("what", "kinds"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_torchs_own_machinery(what: str, kinds: tuple[CellKind, ...]) -> None:
    script = Path(__file__).with_name("outside_the_toolkit.py")
    command = [sys.executable, script, what, *kinds]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == ["done", *kinds]


@pytest.mark.parametrize("recording", [True, False])
@each_kind
def test_a_state_is_taken_in_a_narrower_dtype_and_refused_where_float64_would_be_rounded(
    kind: CellKind, recording: bool
) -> None:
    layer = build_recurrent(kind, 3, 4)
    inputs = random_inputs()
    narrow, wide = (layer.initial_state(3, dtype=dtype) for dtype in (torch.bfloat16, torch.float64))
    sentence = r"`state` of layer 0, forward, 'hidden', is torch.float64, expected torch.float32 as the weights are"
    with torch.set_grad_enabled(recording):
        for given in (inputs, inputs[:, :0]):
            found, expected = layer(given, None, narrow), layer(given, None, layer.initial_state(3))
            torch.testing.assert_close(found.outputs, expected.outputs)
            assert found.state.last().dtype == torch.float32
        torch.testing.assert_close(
            layer.step(inputs[:, 0], narrow)[0], layer.step(inputs[:, 0], layer.initial_state(3))[0]
        )
        with pytest.raises(ValueError, match=sentence):
            layer(inputs, None, wide)
        with pytest.raises(ValueError, match=sentence):
            layer.step(inputs[:, 0], wide)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.isfinite(layer(inputs, None, narrow).outputs).all()
