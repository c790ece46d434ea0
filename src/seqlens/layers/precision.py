"""What matrix products are computed in: float32, or bfloat16 where the processor has instructions for it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import torch

from seqlens.errors import RequestError
from seqlens.layers.int8 import has_int8_products
from seqlens.layers.processor import has_unit

PrecisionChoice = Literal["auto", "float32", "bfloat16"]
SearchPrecisionChoice = Literal["float32", "bfloat16", "int8", "auto"]


class Precision(NamedTuple):
    """A choice of precision on a device, and the reason for it in a sentence."""

    dtype: torch.dtype
    device_type: str
    reason: str
    int8: bool = False
    """Whether large products may be of 8-bit integers; others are in `dtype`."""

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
    units = _cpu_units_for_bfloat16() if device.type == "cpu" else None
    if units is not None:
        return Precision(torch.bfloat16, "cpu", f"bfloat16 with float32 weights: this processor has {units} for it.")
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        reason = "bfloat16 with float32 weights: this GPU has tensor cores for it."
        return Precision(torch.bfloat16, "cuda", reason)
    return Precision(torch.float32, device.type, "float32: no instructions for bfloat16 were found here.")


def choose_search_precision(choice: SearchPrecisionChoice, device: torch.device) -> Precision:
    """The same for a search, which may use 8-bit integers.

    Raises:
        RequestError: there are no fast products of them on this device.
    """
    if choice != "int8":
        return choose_precision(choice, device)
    if not has_int8_products(device.type):
        raise RequestError(
            "precision is 'int8', but there are no fast products of 8-bit integers "
            + ("on this processor with this torch" if device.type == "cpu" else f"on {device.type}, only on a CPU")
            + "; expected 'auto', 'bfloat16' or 'float32'."
        )
    others = choose_precision("auto", device)
    reason = f"8-bit integers for feed-forwards and the vocabulary, as asked for; others in {others.reason}"
    return others._replace(reason=reason, int8=True)


def _cpu_units_for_bfloat16() -> str | None:
    """What makes its products faster than those of float32: with tiles several times, with dot products twice."""
    if has_unit("amx_bf16", older="_is_amx_tile_supported"):
        return "AMX tiles"
    if has_unit("avx512_bf16", older="_is_avx512_bf16_supported"):
        return "AVX-512 dot products"
    return None


def product_dtype(weight: torch.Tensor) -> torch.dtype:
    """What products with a weight are computed in: autocast's where it is on, otherwise its own."""
    kind = weight.device.type
    if weight.dtype == torch.float64 or weight.is_meta:
        return weight.dtype
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
