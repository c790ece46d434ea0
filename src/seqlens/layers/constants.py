"""Tensors of a module that follow from how it was built: they move with it, but are neither trained nor saved."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class ConstantsModule(nn.Module):
    """A module whose constants are right wherever it is moved, also from the device `meta`, where nothing has content.

    A buffer that is not saved would hold anything after `to_empty`, and would stay behind when weights are assigned.
    """

    def __init__(self) -> None:
        super().__init__()
        self._constants: dict[str, Tensor] = {}

    def register_constant(self, name: str, value: Tensor) -> None:
        """Takes a tensor with content, so none on `meta`, as the attribute `name`, on the default device."""
        self._constants[name] = value.detach().cpu().clone()
        self.register_buffer(name, value if value.device.type != "cpu" else _on_default(value), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ConstantsModule":
        super()._apply(fn, recurse)
        self._fill_constants()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        device = next((weight.device for weight in self.parameters() if not weight.is_meta), None)
        for name in self.__dict__.get("_constants", {}):
            buffer = self._buffers[name]
            if device is not None and buffer is not None and buffer.is_meta:
                self._buffers[name] = torch.empty_like(buffer, device=device)
        self._fill_constants()

    def _fill_constants(self) -> None:
        """Writes the content where the buffers are now, as memory that is new has none."""
        with torch.no_grad():
            for name, value in self.__dict__.get("_constants", {}).items():  # modules of old pickles have none
                buffer = self._buffers[name]
                if buffer is not None and not buffer.is_meta:
                    buffer.copy_(value)


def _on_default(value: Tensor) -> Tensor:
    return value.to(torch.get_default_device())
