"""SimpleRNN, LSTM and GRU against Keras in float64: outputs and gradients, from Keras and to it.

Needs the extra `oracles`: `pip install -c constraints.txt -e '.[test,oracles]'`. Keras runs on torch, so that one
backward pass gives both sides their gradients.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlens.layers import GRU, LSTM, RNN, RecurrentLayer
from seqlens.layers.conversion import KerasLayer
from seqlens.testing import assert_same_function

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", reason="needs the extra `oracles`")

LAYERS: dict[str, type[RecurrentLayer]] = {"SimpleRNN": RNN, "LSTM": LSTM, "GRU": GRU}
# numpy warns of the way Keras reads its own variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def products_in_float64() -> Iterator[None]:
    """On torch Keras multiplies float64 in float32, on TensorFlow it does not: one entry of one table."""
    from keras.src.backend.common import dtypes

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
        yield


def made(described: KerasLayer) -> Any:
    """The Keras layer of a description, as docs/convert.md says."""
    layer = getattr(keras.layers, described.name)(**described.arguments)
    if described.merge_mode is not None:
        dtype = described.arguments["dtype"]
        layer = keras.layers.Bidirectional(layer, merge_mode=described.merge_mode, dtype=dtype)
    layer.build((None, None, described.weights[0].shape[0]))
    layer.set_weights(described.weights)
    return layer


@st.composite
def described_layers(draw: st.DrawFn) -> KerasLayer:
    """Keras draws from `random` where a layer is made, so that Hypothesis draws its description alone."""
    name = draw(st.sampled_from(sorted(LAYERS)))
    inputs, units, bias = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.booleans())
    arguments: dict[str, Any] = {"units": units, "use_bias": bias, "dtype": "float64", "return_sequences": True}
    if name == "GRU":
        arguments["reset_after"] = draw(st.booleans())
    if name == "SimpleRNN":
        arguments["activation"] = draw(st.sampled_from(["tanh", "relu"]))
    merge_mode = draw(st.sampled_from([None, "concat", "sum", "ave"]))
    draws = np.random.default_rng(draw(st.integers(0, 2**16)))
    rows = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}[name] * units
    shapes = [(inputs, rows), (units, rows)]
    if bias:
        shapes.append((2, rows) if arguments.get("reset_after") else (rows,))
    shapes = shapes if merge_mode is None else shapes * 2
    return KerasLayer(name, arguments, [draws.normal(scale=0.6, size=shape) for shape in shapes], merge_mode)


def converted(layers: list[Any]) -> RecurrentLayer:
    inner = getattr(layers[0], "forward_layer", layers[0])
    return LAYERS[type(inner).__name__].from_keras(layers if len(layers) > 1 else layers[0])


def run_keras(layers: list[Any], inputs: Tensor, lengths: list[int]) -> Tensor:
    mask = torch.arange(inputs.shape[1]) < torch.tensor(lengths)[:, None]
    for layer in layers:
        # At padding Keras repeats the last output: only zeros there are comparable.
        inputs = layer(inputs, mask=mask) * mask[:, :, None]
    return inputs


def drawn_inputs(size: int, lengths: list[int]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(len(lengths), max([1, *lengths]) + 1, size, generator=generator, dtype=torch.float64)


@given(described_layers(), st.lists(st.integers(0, 6), min_size=1, max_size=4))
@settings(max_examples=60)
def test_from_keras(described: KerasLayer, lengths: list[int]) -> None:
    theirs = made(described)
    ours = converted([theirs])
    inputs = drawn_inputs(ours.input_dim, lengths)
    assert_same_function(
        lambda inputs: ours(inputs, torch.tensor(lengths)).outputs,
        lambda inputs: run_keras([theirs], inputs, lengths),
        inputs,
    )


@given(described_layers(), st.lists(st.integers(0, 6), min_size=1, max_size=4))
@settings(max_examples=60)
def test_gradients_of_the_weights(described: KerasLayer, lengths: list[int]) -> None:
    """Ours are read as Keras' are, so that a gradient finds its weight: the update gate's change sign with it."""
    theirs = made(described)
    ours = converted([theirs])
    inputs = drawn_inputs(ours.input_dim, lengths)
    outputs = ours(inputs, torch.tensor(lengths)).outputs
    factors = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (outputs * factors).sum().backward()
    for variable in theirs.trainable_weights:
        variable.value.grad = None
    (run_keras([theirs], inputs, lengths) * factors).sum().backward()
    values = [variable.value for variable in theirs.trainable_weights]
    expected = [torch.zeros_like(value) if value.grad is None else value.grad for value in values]
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
    (found,) = ours.to_keras()
    for variable, array, gradient in zip(theirs.trainable_weights, found.weights, expected, strict=True):
        ours_gradient = torch.from_numpy(array)
        dim = found.arguments["units"]
        if variable.path.endswith("bias") and array.ndim == 2:
            # Two biases of a GRU: Keras' recurrent one has gradients for the gates, which ours shares with the other.
            torch.testing.assert_close(ours_gradient[1, 2 * dim :], gradient[1, 2 * dim :], rtol=1e-10, atol=1e-10)
            ours_gradient, gradient = ours_gradient[0], gradient[0]
        torch.testing.assert_close(ours_gradient, gradient, rtol=1e-10, atol=1e-10)


@given(st.data(), st.lists(st.integers(0, 6), min_size=1, max_size=3))
@settings(max_examples=40)
def test_to_keras_and_back(data: st.DataObject, lengths: list[int]) -> None:
    options: dict[str, Any] = {}
    kind = data.draw(st.sampled_from([RNN, LSTM, GRU]))
    if kind is GRU:
        options["reset"] = data.draw(st.sampled_from(["before", "after"]))
    if kind is RNN:
        options["activation"] = data.draw(st.sampled_from(["tanh", "relu"]))
    if kind is LSTM:
        options["variant"] = data.draw(st.sampled_from(["plain", "coupled"]))
    torch.manual_seed(data.draw(st.integers(0, 2**16)))
    ours = kind(
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(1, 5)),
        num_layers=data.draw(st.integers(1, 3)),
        bidirectional=data.draw(st.booleans()),
        merge=data.draw(st.sampled_from(["concatenate", "sum", "mean"])),
        bias=data.draw(st.booleans()),
        **options,
    ).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.6)
    theirs = [made(described) for described in ours.to_keras()]
    inputs = drawn_inputs(ours.input_dim, lengths)
    assert_same_function(
        lambda inputs: run_keras(theirs, inputs, lengths),
        lambda inputs: ours(inputs, torch.tensor(lengths)).outputs,
        inputs,
    )
    if options.get("variant") == "coupled":
        return
    again = converted(theirs)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("GRU", {"go_backwards": True}, "Keras' go_backwards=True cannot be expressed"),
        ("GRU", {"stateful": True}, "Keras' stateful=True cannot be expressed"),
        ("GRU", {"dropout": 0.1}, "Keras' dropout=0.1 cannot be expressed"),
        ("LSTM", {"recurrent_dropout": 0.1}, "Keras' recurrent_dropout=0.1 cannot be expressed"),
        ("LSTM", {"activation": "relu"}, "Keras' activation='relu' cannot be expressed: LSTM has 'tanh' there"),
        ("LSTM", {"recurrent_activation": "hard_sigmoid"}, "Keras' recurrent_activation='hard_sigmoid' cannot be"),
        ("SimpleRNN", {"activation": None}, "Keras' activation='linear' .* RNN has 'tanh' or 'relu' there"),
    ],
)
def test_what_cannot_be_expressed_gets_a_sentence(name: str, arguments: dict[str, Any], sentence: str) -> None:
    layer = getattr(keras.layers, name)(3, **arguments)
    if "stateful" not in arguments:
        layer.build((None, None, 2))
    with pytest.raises(ValueError, match=sentence):
        LAYERS[name].from_keras(layer)


def test_another_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"GRU.from_keras takes a Keras GRU, but was given LSTM: use LSTM.from_keras$"):
        GRU.from_keras(keras.layers.LSTM(3))
    with pytest.raises(ValueError, match=r"takes a Keras SimpleRNN, but was given Dense$"):
        RNN.from_keras(keras.layers.Dense(3))
    with pytest.raises(ValueError, match="the Keras GRU has no weights yet"):
        GRU.from_keras(keras.layers.GRU(3))
    with pytest.raises(ValueError, match="the list is empty"):
        GRU.from_keras([])
    with pytest.raises(ValueError, match="merge_mode='mul' cannot be expressed: 'concat', 'sum' and 'ave' can"):
        GRU.from_keras(keras.layers.Bidirectional(keras.layers.GRU(3), merge_mode="mul"))
