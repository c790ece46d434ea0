"""The state of a recurrent stack: by layer, by direction, by name; batch first, always."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.cells import CellState


class LayerState(NamedTuple):
    """One layer's state: `forward["hidden"]` is `[batch, hidden_dim]`; `backward` is None in one direction."""

    forward: CellState
    backward: CellState | None = None


class RecurrentState(NamedTuple):
    """The state of every layer, first layer first. A pytree of tensors: batch is the first axis of each."""

    layers: tuple[LayerState, ...]

    def select(self, rows: Int[Tensor, " rows"]) -> "RecurrentState":
        """Takes rows of the batch, in any order and number: what beam search does to its hypotheses."""
        return self._map(lambda tensor: tensor.index_select(0, rows))

    def detach(self) -> "RecurrentState":
        """Cuts the graph here: truncated backpropagation through time."""
        return self._map(Tensor.detach)

    def widened(self, dtype: torch.dtype) -> "RecurrentState":
        """The state in the dtype of the weights, if its own is narrower, as that of what autocast put out is."""
        return self._map(lambda tensor: _widened(tensor, dtype))

    def last(self, name: str = "hidden") -> Float[Tensor, "batch dim"]:
        """The top layer's state of that name, both directions side by side: `[batch, directions * hidden_dim]`."""
        top = self.layers[-1]
        return top.forward[name] if top.backward is None else torch.cat((top.forward[name], top.backward[name]), 1)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "RecurrentState":
        layers = []
        for forward, backward in self.layers:
            new_forward = {name: function(tensor) for name, tensor in forward.items()}
            if backward is None:
                layers.append(LayerState(new_forward))
            else:
                layers.append(LayerState(new_forward, {name: function(tensor) for name, tensor in backward.items()}))
        return self._replace(layers=tuple(layers))


def check_state(
    state: RecurrentState, dims: Sequence[Sequence[dict[str, int]]], batch_size: int, dtype: torch.dtype
) -> None:
    """Raises ValueError where a state is not that of a stack; `dims` are by layer, direction and name."""
    which = "one direction" if len(dims[0]) == 1 else "both directions"
    if not isinstance(state, RecurrentState):
        raise ValueError(
            f"`state` must be a RecurrentState, as `initial_state` makes it, but is a {type(state).__name__}"
        )
    if len(state.layers) != len(dims) or any((layer.backward is None) != (len(dims[0]) == 1) for layer in state.layers):
        raise ValueError(f"`state` must hold {len(dims)} layers of {which}, as `initial_state` makes it")
    for number, (layer, sides) in enumerate(zip(state.layers, dims, strict=True)):
        for side, given, wanted in zip(("forward", "backward"), layer, sides, strict=False):
            expected = {name: [batch_size, dim] for name, dim in wanted.items()}
            found = {name: list(tensor.shape) for name, tensor in (given or {}).items()}
            if found != expected:
                raise ValueError(f"`state` of layer {number}, {side}, must be {expected}, but is {found}")
            for name, tensor in (given or {}).items():
                # Nobody asked to round float64; autocast leaves it alone.
                if tensor.dtype != dtype and torch.float64 in (tensor.dtype, dtype):
                    place = f"`state` of layer {number}, {side}, '{name}'"
                    raise ValueError(f"{place}, is {tensor.dtype}, expected {dtype} as the weights are")


def _widened(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if torch.finfo(tensor.dtype).bits <= torch.finfo(dtype).bits else tensor


class RecurrentOutput(NamedTuple):
    """`outputs [batch, time, directions * hidden_dim]`, zero at padding, and the state after each sequence's end."""

    outputs: Float[Tensor, "batch time dim"]
    state: RecurrentState
