"""Conversion from and to ONNX's arrays, without ONNX: shapes, attributes, and sentences for what is refused."""

from typing import Any

import numpy as np
import pytest
import torch

from seqlens.layers import GRU, LSTM, RNN, RecurrentLayer

LAYERS: dict[str, type[RecurrentLayer]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
each_kind = pytest.mark.parametrize("kind", LAYERS)


def arrays(kind: str, directions: int = 1, inputs: int = 3, hidden: int = 4) -> tuple[Any, Any, Any]:
    rows = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind] * hidden
    draws = np.random.default_rng(0)
    shapes = ((directions, rows, inputs), (directions, rows, hidden), (directions, 2 * rows))
    w, r, b = (draws.normal(size=shape).astype(np.float32) for shape in shapes)
    return w, r, b


def test_the_call_of_the_design() -> None:
    gru = GRU.from_onnx(*arrays("GRU"), linear_before_reset=0)
    assert (gru.input_dim, gru.hidden_dim, gru.bidirectional) == (3, 4, False)
    assert "recurrent" not in gru.explain() or gru(torch.zeros(1, 2, 3)).outputs.shape == (1, 2, 4)


@each_kind
def test_tensors_and_bytes_are_taken_and_missing_biases_are_none(kind: str) -> None:
    w, r, _ = arrays(kind, directions=2)
    layer = LAYERS[kind].from_onnx(torch.from_numpy(w), torch.from_numpy(r), direction=b"bidirectional", layout=1)
    assert layer.bidirectional
    assert not [name for name in layer.state_dict() if "bias" in name]
    (node,) = layer.to_onnx()
    assert not node.b.any()
    np.testing.assert_array_equal(node.w, w)


@each_kind
def test_what_does_not_fit_is_named(kind: str) -> None:
    w, r, b = arrays(kind)
    make = LAYERS[kind].from_onnx
    with pytest.raises(ValueError, match=rf"W of an ONNX {kind} must be \[1 or 2, \d+, input\], but is \[1, \d+, 3\]"):
        make(w[:, 1:], r, b)
    with pytest.raises(ValueError, match=rf"R of an ONNX {kind} must be"):
        make(w, r[:, 1:], b)
    with pytest.raises(ValueError, match=rf"B of an ONNX {kind} must be"):
        make(w, r, b[:, 1:])
    with pytest.raises(ValueError, match="`hidden_size` is 7, but R is for 4"):
        make(w, r, b, hidden_size=7)
    with pytest.raises(ValueError, match="direction='bidirectional' does not fit W, which has 1"):
        make(w, r, b, direction="bidirectional")
    with pytest.raises(ValueError, match="layer 2 reads vectors of 3, but the one below gives 4"):
        make([w, w], [r, r], [b, b])
    with pytest.raises(ValueError, match=r"lists for several nodes must be of one length.* have 2, 1, 2, 2"):
        make([w, w], [r])
    with pytest.raises(ValueError, match="at least one node"):
        make([], [])


@pytest.mark.parametrize(
    ("kind", "attributes", "sentence"),
    [
        ("GRU", {"direction": "reverse"}, "direction='reverse' cannot be expressed"),
        ("GRU", {"clip": 3.0}, "clip=3.0 cannot be expressed"),
        ("GRU", {"linear_befor_reset": 1}, r"no attribute `linear_befor_reset`. Did you mean 'linear_before_reset'\?"),
        ("GRU", {"activations": [b"HardSigmoid", b"Tanh"]}, r"activations=\['HardSigmoid', 'Tanh'\] cannot be expr"),
        ("LSTM", {"activations": ["Sigmoid", "Tanh", "Relu"]}, "LSTM has Sigmoid, Tanh, Tanh in each direction"),
        ("RNN", {"activations": ["Affine"]}, "RNN has Tanh or Relu everywhere in each direction"),
        ("RNN", {"linear_before_reset": 1}, "ONNX's RNN has no attribute `linear_before_reset`"),
    ],
)
def test_what_cannot_be_expressed_gets_a_sentence(kind: str, attributes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LAYERS[kind].from_onnx(*arrays(kind), **attributes)
