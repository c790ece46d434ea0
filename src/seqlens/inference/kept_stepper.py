"""Weights laid out for a search, kept from one call to the next."""

from itertools import chain
from typing import NamedTuple, final

import torch

from seqlens.layers.precision import Precision
from seqlens.models.stepping import Stepper, build_stepper
from seqlens.models.transducer import Transducer


class _Kept(NamedTuple):
    precision: Precision
    weights: tuple[object, ...]
    stepper: Stepper


@final
class KeptStepper:
    """Makes the stepper of one model, and gives the same one again until the weights or the precision are others.

    Laying them out takes a good part of the time of one sentence, in 8-bit integers most of it.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def __call__(self, model: Transducer, precision: Precision) -> Stepper:
        kept, weights = self._kept, _weights_now(model)
        if kept is None or kept.precision != precision or kept.weights != weights:
            self._kept = kept = _Kept(precision, weights, build_stepper(model, precision))
        return kept.stepper

    def __reduce__(self) -> tuple[type["KeptStepper"], tuple[()]]:
        """A copy keeps nothing: packed weights cannot be copied."""
        return KeptStepper, ()


@torch.no_grad()
def _weights_now(model: Transducer) -> tuple[object, ...]:
    """What tells weights from changed ones, in a tenth of the time that laying them out takes.

    torch counts changes of a tensor, but not those through `.data`; they change the sum.
    """
    tensors = list(chain(model.parameters(), model.buffers()))
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors]).tolist()
    # What was made in inference mode has no count.
    versions = [None if tensor.is_inference() else tensor._version for tensor in tensors]
    return tuple(
        (tensor.data_ptr(), tensor.dtype, version, one)
        for tensor, version, one in zip(tensors, versions, sums, strict=True)
    )
