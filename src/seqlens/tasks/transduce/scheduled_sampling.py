"""Scheduled sampling: a decoder reads some of its own predictions while it is trained, as it must when it is used."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from seqlens.data.text import PADDING_ID, START_ID
from seqlens.models.encoders import EncoderOutput
from seqlens.models.transducer import Transducer

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Steps = Annotated[int, Field(ge=1)]
FirstStep = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class ConstantSampling:
    """The same share of predicted tokens from `start_step` on."""

    kind: Literal["constant"] = "constant"
    largest_p: Share = 0.25
    start_step: FirstStep = 0


@dataclass(frozen=True, slots=True)
class LinearSampling:
    """A share that rises in a line for `num_steps` steps after `start_step`."""

    kind: Literal["linear"] = "linear"
    largest_p: Share = 0.25
    start_step: FirstStep = 0
    num_steps: Steps = 10_000


@dataclass(frozen=True, slots=True)
class InverseSigmoidSampling:
    """`largest_p * (1 - k / (k + exp(i / k)))` at the i-th step after `start_step`: late and then fast."""

    kind: Literal["inverse_sigmoid"] = "inverse_sigmoid"
    largest_p: Share = 0.25
    start_step: FirstStep = 0
    k: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = 1000.0


@dataclass(frozen=True, slots=True)
class ExponentialSampling:
    """`largest_p * (1 - base ** i)` at the i-th step after `start_step`: fast and then ever slower."""

    kind: Literal["exponential"] = "exponential"
    largest_p: Share = 0.25
    start_step: FirstStep = 0
    base: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9999


SamplingConfig = Annotated[
    ConstantSampling | LinearSampling | InverseSigmoidSampling | ExponentialSampling, Field(discriminator="kind")
]


def sampling_probability(config: SamplingConfig, step: int) -> float:
    """The probability that a token read at this step (from 1) is a prediction (Bengio et al. 2015, section 2.4).

    The paper names the share of true tokens; this is the other one, at most `largest_p`.
    """
    passed = step - config.start_step
    if passed <= 0:
        return 0.0
    match config:
        case ConstantSampling():
            share = 1.0
        case LinearSampling(num_steps=num_steps):
            share = min(1.0, passed / num_steps)
        case InverseSigmoidSampling(k=k):
            share = 1.0 - k / (k + math.exp(min(passed / k, 700.0)))
        case ExponentialSampling(base=base):
            share = 1.0 - base**passed
    return config.largest_p * share


def mix_predictions(
    model: Transducer,
    source: EncoderOutput,
    inputs: Int[Tensor, "batch time"],
    lengths: Int[Tensor, " batch"],
    probability: float,
) -> Int[Tensor, "batch time"]:
    """What a decoder reads in its second pass: each true token but `<start>`, or one drawn from its first pass.

    The first pass reads true tokens and has no gradient (Mihaylova & Martins 2019, section 3), so that all positions of
    both passes are computed at once whatever the decoder. Draws come from torch's global generator.
    """
    chosen = torch.rand(inputs.shape, device=inputs.device) < probability
    chosen &= torch.arange(inputs.shape[1], device=inputs.device) < lengths.to(inputs.device)[:, None]
    chosen[:, :1] = False
    places = chosen.flatten().nonzero()[:, 0]
    if not len(places):
        return inputs
    with torch.no_grad():
        output = model.decode(source, inputs, lengths)
        # What is read at one position was to be predicted at the position before it.
        logits = output.select(places - 1).logits.float()
        logits[:, [PADDING_ID, START_ID]] = float("-inf")
        drawn = torch.multinomial(torch.softmax(logits, dim=1), 1)[:, 0]
    # Weights that autocast has converted without a gradient would be taken again in the pass that needs one.
    torch.clear_autocast_cache()
    return inputs.flatten().index_copy(0, places, drawn).view_as(inputs)
