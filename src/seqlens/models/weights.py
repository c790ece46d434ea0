"""A model's weights as a dictionary that safetensors can hold: tied tensors once, their other names beside it."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn


class PackedWeights(NamedTuple):
    """Tensors that share no memory, and for each left-out name the one under which its tensor is kept."""

    tensors: dict[str, Tensor]
    aliases: dict[str, str]


def tied_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Returns, for each name whose tensor came before under another name, that first name."""
    first: dict[tuple[object, ...], str] = {}
    aliases: dict[str, str] = {}
    for name, tensor in state.items():
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and first.setdefault(place, name) != name:
            aliases[name] = first[place]
    return aliases


def pack_weights(model: nn.Module) -> PackedWeights:
    """Returns the weights and persistent buffers of `model`, on the CPU; they may share memory with the model."""
    state = model.state_dict()
    aliases = tied_names(state)
    tensors = {name: _own_memory(tensor) for name, tensor in state.items() if name not in aliases}
    return PackedWeights(tensors, aliases)


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], aliases: Mapping[str, str]) -> None:
    """Copies packed weights into `model`, into the tensors it has (so optimisers that hold them go on).

    Raises:
        ValueError: a name is missing or too many, a shape or a tie differs; the model is then as before.
    """
    state = model.state_dict()
    given = {**tensors, **{name: tensors[kept] for name, kept in aliases.items()}}
    missing, unknown = sorted(state.keys() - given.keys()), sorted(given.keys() - state.keys())
    if missing or unknown:
        first = f"it lacks '{missing[0]}'" if missing else f"it holds '{unknown[0]}', which the model has not"
        raise ValueError(f"{first} ({len(missing)} missing and {len(unknown)} unknown tensors in all)")
    for name, tensor in state.items():
        if given[name].shape != tensor.shape:
            raise ValueError(f"'{name}' has shape {tuple(given[name].shape)}, expected {tuple(tensor.shape)}")
    for name, kept in tied_names(state).items():
        if given[name] is not given[kept]:
            raise ValueError(f"'{name}' and '{kept}' are tied in the model, but apart in the weights")
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(given[name])


def _own_memory(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().to("cpu").contiguous()
    # A view of a larger block (one flat buffer for many weights) would be refused by safetensors.
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
