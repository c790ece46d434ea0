"""`from_torch`, `to_torch` and their like: what every recurrent layer inherits."""

from abc import ABC
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from seqlens.cells import Cell
from seqlens.layers.conversion.keras_layers import KerasLayer, read_keras, write_keras
from seqlens.layers.conversion.onnx_nodes import Arrays, OnnxNode, read_onnx, write_onnx
from seqlens.layers.conversion.stack import Cells, Kind, LayerName, Stack
from seqlens.layers.conversion.torch_layers import read_torch, write_torch
from seqlens.layers.dropout import Dropout
from seqlens.layers.options import Merge
from seqlens.layers.randomness import Randomness

Layer = TypeVar("Layer", bound="Convertible")

_OPTIONS: dict[Kind, dict[str, Any]] = {
    "rnn": {},
    "rnn_relu": {"activation": "relu"},
    "lstm": {},
    "lstm_peephole": {"variant": "peephole"},
    "lstm_coupled": {"variant": "coupled"},
    "lstm_projected": {"variant": "projected"},
    "gru": {"reset": "before"},
    "gru_after": {"reset": "after"},
}
"""The arguments that say which cell a layer has."""


class Convertible(nn.Module, ABC):
    """A recurrent layer that can be had from other libraries and given to them; weights are copied, never shared."""

    layer_name: ClassVar[LayerName | None] = None
    """What other libraries call a layer of this class, where they have one."""

    layers: nn.ModuleList
    dropout: Dropout
    randomness: Randomness
    merge: Merge
    residual: bool
    bidirectional: bool
    num_layers: int

    @classmethod
    def from_torch(cls: type[Layer], theirs: nn.Module) -> Layer:
        """Makes the layer that computes what a torch layer or cell does; its dtype, device and mode are kept, and
        what is frozen stays so.

        Ours is batch first whatever `theirs.batch_first` says, takes padded batches with `lengths`, and its state is
        named.

        Args:
            theirs: for `RNN` an nn.RNN or nn.RNNCell, for `LSTM` and `GRU` likewise.

        Raises:
            ValueError: it is another layer.
        """
        return _build(cls, read_torch(_wanted(cls, "torch"), theirs))

    def to_torch(self) -> nn.RNNBase:
        """Makes torch's layer of the same function, batch first; where torch has two biases, one holds zeros.

        Raises:
            ValueError: torch has no such layer.
        """
        cells = self._cells("torch", self.dropout.p if self.num_layers > 1 else 0.0)
        return write_torch(cells, self.dropout.p).train(self.training)

    @classmethod
    def from_keras(cls: type[Layer], theirs: Any) -> Layer:
        """Makes the layer that computes what Keras' does, in the dtype of its weights, on the CPU.

        Args:
            theirs: a built `SimpleRNN`, `LSTM` or `GRU`, one in `Bidirectional`, or a list of them, first layer first.

        Raises:
            ValueError: it is another layer, or one of its arguments cannot be expressed.
        """
        return _build(cls, read_keras(_wanted(cls, "Keras"), theirs))

    def to_keras(self) -> list[KerasLayer]:
        """Describes Keras layers of the same function, one a layer: name, arguments, and arrays for `set_weights`.

        Raises:
            ValueError: Keras has no such layer.
        """
        return write_keras(self._cells("Keras"), self.merge)

    @classmethod
    def from_onnx(
        cls: type[Layer], w: Arrays, r: Arrays, b: Arrays | None = None, p: Arrays | None = None, **attributes: Any
    ) -> Layer:
        """Makes the layer that computes what an ONNX node does, or several nodes that read each other.

        Args:
            w: `[directions, gates * hidden, input]`, or a list of them, first layer first.
            r: `[directions, gates * hidden, hidden]`, or a list.
            b: `[directions, 2 * gates * hidden]`, or a list; None for no biases.
            p: an LSTM's peepholes `[directions, 3 * hidden]`, or a list.
            attributes: the node's, by their ONNX names: `linear_before_reset`, `activations`, `direction`, ...

        Raises:
            ValueError: shapes do not fit, or an attribute cannot be expressed.
        """
        return _build(cls, read_onnx(_wanted(cls, "ONNX"), w, r, b, p, attributes))

    def to_onnx(self) -> list[OnnxNode]:
        """Describes ONNX nodes of the same function, one a layer: operator, attributes, and arrays W, R, B and P.

        Raises:
            ValueError: ONNX has no such operator.
        """
        return write_onnx(self._cells("ONNX"))

    def _cells(self, library: str, dropout_p: float = 0.0) -> Cells:
        """The cells by layer, then by direction, where they are all there is; `dropout_p` is what the library has."""
        random = self.randomness
        extras = {
            "merge": (self.bidirectional and library != "Keras" and self.merge != "concatenate", self.merge),
            "residual": (self.residual and self.num_layers > 1, True),
            "learned_state": (any("_start" in name for name, _ in self.named_parameters()), True),
            "zoneout_p": (max(random.zoneout_p, random.cell_zoneout_p) > 0, random.zoneout_p),
        }
        # What happens in training only may be lost where training is over.
        between = self.dropout.p if self.num_layers > 1 else 0.0
        extras["dropout_p"] = (self.training and between != dropout_p and library != "ONNX", between)
        for name in ("recurrent_dropout_p", "weight_dropout_p"):
            extras[name] = (self.training and getattr(random, name) > 0, getattr(random, name))
        for name, (there, value) in extras.items():
            if there:
                after = "; after eval() it can be left out" if name.endswith("dropout_p") else ""
                raise ValueError(f"{name}={value!r} has no match in the recurrent layers of {library}{after}")
        both = [(layer.forward_cell, layer.backward_cell) for layer in self.layers]
        return tuple(tuple(cell for cell in pair if isinstance(cell, Cell)) for pair in both)


def _wanted(cls: type[Convertible], library: str) -> LayerName:
    if cls.layer_name is None:
        raise ValueError(f"{library} has no layer that computes what a {cls.__name__} does")
    return cls.layer_name


def _build(cls: type[Layer], stack: Stack) -> Layer:
    """The layer with these very tensors as its parameters."""
    make: Any = cls
    options = _OPTIONS[stack.kind] if stack.cell_dim is None else {**_OPTIONS[stack.kind], "cell_dim": stack.cell_dim}
    # On the meta device a start draws no random numbers and takes no memory.
    with torch.device("meta"):
        layer: Layer = make(
            stack.input_dim,
            stack.hidden_dim,
            num_layers=len(stack.weights),
            bidirectional=stack.bidirectional,
            merge=stack.merge,
            dropout_p=stack.dropout_p,
            bias=stack.bias,
            **options,
        )
    layer.load_state_dict(stack.named(), strict=True, assign=True)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(name not in stack.frozen)
    return layer.train(stack.training)
