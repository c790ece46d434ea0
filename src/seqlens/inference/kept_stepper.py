"""Weights laid out for a search, kept from one call to the next."""

from itertools import chain
from typing import NamedTuple, final

import torch

from seqlens.layers.precision import Precision
from seqlens.models.stepping import FastStepper, Stepper, build_stepper
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
        kept = self._kept
        if kept is not None and kept.precision == precision and kept.weights == _weights_now(model):
            return kept.stepper
        stepper = build_stepper(model, precision)
        # Others lay nothing out, so there is nothing to keep and no weight to look at.
        self._kept = _Kept(precision, _weights_now(model), stepper) if isinstance(stepper, FastStepper) else None
        return stepper

    def __reduce__(self) -> tuple[type["KeptStepper"], tuple[()]]:
        """A copy keeps nothing: packed weights cannot be copied."""
        return KeptStepper, ()


@torch.no_grad()
def _weights_now(model: Transducer) -> tuple[object, ...]:
    """What tells weights from changed ones, in much less time than laying them out takes.

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
