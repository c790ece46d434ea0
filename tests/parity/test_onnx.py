"""RNN, LSTM and GRU against ONNX Runtime in float32: to ONNX, and from arrays in ONNX's order of gates.

Needs the extra `oracles`: `pip install -c constraints.txt -e '.[test,oracles]'`.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from seqlens.layers import GRU, LSTM, RNN, LayerState, RecurrentLayer, RecurrentState
from seqlens.layers.conversion import OnnxNode
from seqlens.testing import assert_same_function

onnx = pytest.importorskip("onnx", reason="needs the extra `oracles`")
ort = pytest.importorskip("onnxruntime", reason="needs the extra `oracles`")

Arrays = dict[str, NDArray[np.float32]]
LAYERS: dict[str, type[RecurrentLayer]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def run_node(node: OnnxNode, x: NDArray[np.float32], lengths: list[int], start: list[NDArray[np.float32]]) -> Any:
    """What ONNX Runtime gives for one node: Y `[time, directions, batch, hidden]`, then the states at the end."""
    given: dict[str, NDArray[Any] | None] = {
        "X": x,
        "W": node.w,
        "R": node.r,
        "B": node.b,
        "sequence_lens": np.array(lengths, dtype=np.int32),
        **dict(zip(("initial_h", "initial_c"), start, strict=False)),
    }
    if node.p is not None:
        given["P"] = node.p
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h"] + ["initial_c", "P"] * (node.op_type == "LSTM")
    names = [name if name in given else "" for name in order]
    results = ["Y", "Y_h"] + ["Y_c"] * (node.op_type == "LSTM")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(node.op_type, names, results, **node.attributes)],
        "one_node",
        [value(name, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in given.items()],
        [value(name, onnx.TensorProto.FLOAT, ["time"] * (name == "Y") + ["sides", "batch", "dim"]) for name in results],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(results, given)


def run_nodes(nodes: list[OnnxNode], inputs: Tensor, lengths: list[int], state: RecurrentState) -> object:
    """A stack in ONNX Runtime, and what it returns in our terms."""
    x = inputs.transpose(0, 1).numpy()
    layers = []
    for node, layer in zip(nodes, state.layers, strict=True):
        sides = [side for side in layer if side is not None]
        start = [torch.stack([side[name] for side in sides]).numpy() for name in sides[0]]
        y, *end = run_node(node, x, lengths, start)
        x = np.ascontiguousarray(y.transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1))
        ends = [torch.from_numpy(array) for array in end]
        layers.append(
            LayerState(*(dict(zip(sides[0], parts, strict=True)) for parts in zip(*(e.unbind(0) for e in ends))))
        )
    return torch.from_numpy(x).transpose(0, 1), RecurrentState(tuple(layers))


def assert_same(layer: RecurrentLayer, nodes: list[OnnxNode], lengths: list[int]) -> None:
    generator = torch.Generator().manual_seed(1)
    time = max([1, *lengths]) + 1
    inputs = torch.randn(len(lengths), time, layer.input_dim, generator=generator)
    state = layer.initial_state(len(lengths))._map(lambda zeros: torch.randn(zeros.shape, generator=generator))
    with torch.no_grad():
        assert_same_function(
            lambda: tuple(layer(inputs, torch.tensor(lengths), state)),
            lambda: run_nodes(nodes, inputs, lengths, state),
            gradients="none",
            tolerance=1e-5,
        )


def random_layer(kind: str, draw: st.DrawFn) -> RecurrentLayer:
    options: dict[str, Any] = {}
    if kind == "GRU":
        options["reset"] = draw(st.sampled_from(["before", "after"]))
    if kind == "RNN":
        options["activation"] = draw(st.sampled_from(["tanh", "relu"]))
    if kind == "LSTM":
        options["variant"] = draw(st.sampled_from(["plain", "peephole", "coupled"]))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    layer = LAYERS[kind](
        draw(st.integers(1, 4)),
        draw(st.integers(1, 5)),
        num_layers=draw(st.integers(1, 2)),
        bidirectional=draw(st.booleans()),
        bias=draw(st.booleans()),
        **options,
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    return layer


# ONNX Runtime ends a sequence of length 0 in zeros, wherever it began; ours ends where it began.
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)
each_kind = pytest.mark.parametrize("kind", LAYERS)


@each_kind
@given(st.data(), LENGTHS)
@settings(max_examples=30)
def test_to_onnx(kind: str, data: st.DataObject, lengths: list[int]) -> None:
    layer = data.draw(st.composite(lambda draw: random_layer(kind, draw))())
    assert_same(layer, layer.to_onnx(), lengths)


@each_kind
@given(st.data(), LENGTHS)
@settings(max_examples=30)
def test_from_onnx(kind: str, data: st.DataObject, lengths: list[int]) -> None:
    """Random arrays, with two biases that are both in use."""
    directions, inputs, hidden = (data.draw(st.integers(1, top)) for top in (2, 4, 5))
    draws = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    rows = GATES[kind] * hidden
    w, r, b = (
        draws.normal(size=(directions, *shape)).astype(np.float32) * 0.6
        for shape in ((rows, inputs), (rows, hidden), (2 * rows,))
    )
    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": ["forward", "bidirectional"][directions - 1]}
    p = None
    if kind == "GRU":
        attributes["linear_before_reset"] = data.draw(st.integers(0, 1))
    if kind == "RNN":
        attributes["activations"] = [data.draw(st.sampled_from(["Tanh", "Relu"]))] * directions
    variant = data.draw(st.sampled_from(["plain", "peephole", "coupled"])) if kind == "LSTM" else ""
    if variant == "coupled":
        attributes["input_forget"] = 1
    if variant == "peephole":
        p = draws.normal(size=(directions, 3 * hidden)).astype(np.float32)
    layer = LAYERS[kind].from_onnx(w, r, b, p, **attributes)
    assert_same(layer, [OnnxNode(kind, attributes, w, r, b, p)], lengths)


@each_kind
@given(st.data())
@settings(max_examples=20)
def test_there_and_back(kind: str, data: st.DataObject) -> None:
    layer = data.draw(st.composite(lambda draw: random_layer(kind, draw))())
    nodes = layer.to_onnx()
    lists = [[getattr(node, name) for node in nodes] for name in "wrb"]
    peepholes = None if nodes[0].p is None else [node.p for node in nodes]
    again = LAYERS[kind].from_onnx(*lists, peepholes, **nodes[0].attributes)
    for name, tensor in layer.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
