"""The gates and states of a recurrent encoder while it reads an input."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.data.batch import pad
from seqlens.data.text import END_ID
from seqlens.errors import RequestError
from seqlens.models.encoders import RecurrentEncoder
from seqlens.models.transducer import Transducer
from seqlens.tasks.transduce.task import TransduceTask


@dataclass(frozen=True, slots=True)
class GateTrace:
    """`values["layer 1 forward update"]` and so on, each `[time, hidden_dim]`, for the tokens of one input."""

    tokens: tuple[str, ...]
    values: dict[str, Float[Tensor, "time hidden"]]


def encoder_gates(task: TransduceTask, model: Transducer, source: str) -> GateTrace:
    """Every gate and state of the encoder's layers and directions.

    Raises:
        RequestError: the encoder is not recurrent.
    """
    if not isinstance(model.encoder, RecurrentEncoder):
        raise RequestError("This model's encoder is not recurrent, so it has no gates; 'attention' can be looked at.")
    ids = [*task.source_codec.encode(source), END_ID]
    batch = pad([ids]).to(model.output.weight.device)
    with torch.no_grad():
        traced = model.encoder.layer.trace(model.embed_source(batch.ids), batch.lengths)
    values = {}
    for number, layer in enumerate(traced.layers, start=1):
        for direction in ("forward", "backward"):
            trace = getattr(layer, direction)
            if trace is not None:
                for name, tensor in {**trace.gates, **trace.states}.items():
                    values[f"layer {number} {direction} {name}"] = tensor[0].float().cpu()
    return GateTrace(tuple(task.source_codec.token(token) for token in ids), values)
