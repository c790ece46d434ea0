"""The attributes of ONNX's recurrent operators, and which of their values seqlens can express."""

from collections.abc import Sequence
from typing import Any

from seqlens.errors import did_you_mean
from seqlens.layers.conversion.stack import Kind, LayerName

_KNOWN: dict[LayerName, tuple[str, ...]] = {"RNN": (), "LSTM": ("input_forget",), "GRU": ("linear_before_reset",)}
# Alphas and betas belong to activations that are refused by name; the layout is one of X and Y, not of the weights.
_COMMON = ("activations", "activation_alpha", "activation_beta", "clip", "direction", "hidden_size", "layout")
_DEFAULTS: dict[LayerName, tuple[str, ...]] = {
    "RNN": ("Tanh",),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
}


def read_kind(
    wanted: LayerName, attributes: dict[str, Any], directions: int, hidden_dim: int, *, peephole: bool
) -> Kind:
    """Which cell a node computes.

    Raises:
        ValueError: an attribute is unknown, does not fit the arrays, or cannot be expressed.
    """
    known = (*_KNOWN[wanted], *_COMMON)
    for name in attributes:
        if name not in known:
            raise ValueError(f"ONNX's {wanted} has no attribute `{name}`.{did_you_mean(name, known)}")
    found = attributes.get("hidden_size", hidden_dim)
    if found != hidden_dim:
        raise ValueError(f"`hidden_size` is {found}, but R is for {hidden_dim}")
    direction = _word(attributes.get("direction", "bidirectional" if directions == 2 else "forward"))
    if direction == "reverse":
        raise ValueError("direction='reverse' cannot be expressed: turn the inputs around, and the outputs")
    if direction not in ("forward", "bidirectional") or (direction == "bidirectional") != (directions == 2):
        raise ValueError(f"direction={direction!r} does not fit W, which has {directions} of the 1 or 2 directions")
    if attributes.get("clip"):
        raise ValueError(f"clip={attributes['clip']!r} cannot be expressed: nothing is clipped inside a cell here")
    activation = _read_activations(wanted, attributes, directions)
    coupled = bool(attributes.get("input_forget"))
    match wanted:
        case "RNN" | "GRU" if peephole:
            raise ValueError(f"only an LSTM has peepholes, but P was given for ONNX's {wanted}")
        case "RNN":
            return "rnn_relu" if activation == "relu" else "rnn"
        case "GRU":
            return "gru_after" if attributes.get("linear_before_reset") else "gru"
        case "LSTM" if peephole and coupled:
            raise ValueError("input_forget=1 together with peepholes cannot be expressed: here it is one or the other")
        case "LSTM" if peephole:
            return "lstm_peephole"
        case "LSTM":
            return "lstm_coupled" if coupled else "lstm"


def _read_activations(wanted: LayerName, attributes: dict[str, Any], directions: int) -> str:
    """`tanh`, or the other one that an RNN may have."""
    default = _DEFAULTS[wanted] * directions
    given: Sequence[Any] = attributes.get("activations") or default
    names = tuple(_word(name) for name in given)
    lowered = [name.lower() for name in names]
    if wanted == "RNN" and lowered == ["relu"] * directions:
        return "relu"
    if lowered != [name.lower() for name in default]:
        relu = " or Relu everywhere" if wanted == "RNN" else ""
        raise ValueError(
            f"activations={list(names)} cannot be expressed: {wanted} has {', '.join(_DEFAULTS[wanted])}{relu}"
            " in each direction"
        )
    return "tanh"


def _word(value: Any) -> str:
    # `onnx` returns strings among attributes as bytes.
    return value.decode() if isinstance(value, bytes) else str(value)
