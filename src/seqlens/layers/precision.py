"""What matrix products are computed in: float32, or bfloat16 where the processor has matrix units for it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import torch

PrecisionChoice = Literal["auto", "float32", "bfloat16"]


class Precision(NamedTuple):
    """A choice of precision on a device, and the reason for it in a sentence."""

    dtype: torch.dtype
    device_type: str
    reason: str

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context to compute in; weights keep their own type inside it."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)


def choose_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """Resolves `auto` for a device."""
    if choice == "float32":
        return Precision(torch.float32, device.type, "float32, as asked for.")
    if choice == "bfloat16":
        return Precision(torch.bfloat16, device.type, "bfloat16 with float32 weights, as asked for.")
    if device.type == "cpu" and _cpu_has_bfloat16_matrix_units():
        reason = "bfloat16 with float32 weights: this processor has AMX units for it."
        return Precision(torch.bfloat16, "cpu", reason)
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        reason = "bfloat16 with float32 weights: this GPU has tensor cores for it."
        return Precision(torch.bfloat16, "cuda", reason)
    return Precision(torch.float32, device.type, "float32: no matrix units for bfloat16 were found here.")


def _cpu_has_bfloat16_matrix_units() -> bool:
    # `get_capabilities` came after torch 2.8. Before it, tiles stand for bfloat16: every processor with one has both.
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        return bool(capabilities().get("amx_bf16", False))
    return bool(torch.cpu._is_amx_tile_supported())


def product_dtype(weight: torch.Tensor) -> torch.dtype:
    """What products with a weight are computed in: autocast's where it is on, otherwise its own."""
    kind = weight.device.type
    if weight.dtype == torch.float64 or weight.is_meta:
        return weight.dtype
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
