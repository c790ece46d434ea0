"""Tensors of a module that follow from how it was built: they move with it, but are neither trained nor saved."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class ConstantsModule(nn.Module):
    """A module whose constants are right wherever it is moved, also by `to_empty` from the device `meta`.

    A buffer that is not saved would hold anything after `to_empty`, and no loading of weights would set it right.
    """

    def __init__(self) -> None:
        super().__init__()
        self._constants: dict[str, Any] = {}

    def register_constant(self, name: str, value: Tensor) -> None:
        """Takes a tensor with known content, so none on `meta`, as the attribute `name`."""
        self._constants[name] = value.detach().cpu().numpy().copy()
        self.register_buffer(name, value, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ConstantsModule":
        super()._apply(fn, recurse)
        for name, value in self._constants.items():
            moved = self._buffers[name]
            assert moved is not None
            self._buffers[name] = torch.from_numpy(value).to(device=moved.device, dtype=moved.dtype)
        return self
