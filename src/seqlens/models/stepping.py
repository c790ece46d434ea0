"""A transducer as a search uses it: sources read once, then one step at a time, by the fastest way that fits it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.errors import RequestError, WorkError
from seqlens.layers.fast_decoder import FastCache, FastDecoder
from seqlens.layers.fast_encoder import FastEncoder, has_fast_form
from seqlens.layers.fast_products import Products
from seqlens.layers.precision import Precision
from seqlens.layers.transformer import last_norm
from seqlens.models.decoders import SelfAttentionDecoder
from seqlens.models.encoders import SelfAttentionEncoder
from seqlens.models.transducer import Transducer


class Stepped(NamedTuple):
    """One step: `logits [rows, vocab]`, the next state, `alignment [rows, source]` if it was asked for and there is."""

    logits: Float[Tensor, "rows vocab"]
    state: Any
    alignment: Float[Tensor, "rows source"] | None


@runtime_checkable
class Stepper(Protocol):
    """Steps of one model with the weights it had when this was made; dropout is off while the model is in eval mode.

    A state is used up by the step that is given it.
    """

    def start(self, source: Int[Tensor, "groups source"], lengths: Int[Tensor, " groups"]) -> Any:
        """Reads the sources and returns the state before the first step, one row each."""

    def step(self, tokens: Int[Tensor, " rows"], state: Any, *, align: bool = True) -> Stepped:
        """Takes one step from the last tokens; rows of one source stand side by side, equally many each."""

    def explain(self) -> str:
        """Which way the steps are computed, and why not a faster one, in a sentence or two."""


MakeStepper = Callable[[Transducer, Precision], Stepper]
"""`build_stepper`, or one that keeps what it made for models whose weights do not change any more."""


@final
class ModelStepper:
    """The model's own `start` and `step`."""

    def __init__(self, model: Transducer, precision: Precision, reason: str) -> None:
        self._model, self._precision, self._reason = model, precision, reason

    def start(self, source: Int[Tensor, "groups source"], lengths: Int[Tensor, " groups"]) -> Any:
        with self._precision.autocast():
            return self._model.start(source, lengths)

    def step(self, tokens: Int[Tensor, " rows"], state: Any, *, align: bool = True) -> Stepped:
        with self._precision.autocast():
            return Stepped(*self._model.step(tokens, state, align=align))

    def explain(self) -> str:
        return f"The model's own steps: {self._reason} Products are in {self._precision.reason}"


@final
class FastStepper:
    """Steps by `FastDecoder`; a Transformer encoder is read by `FastEncoder`, another is the model's own."""

    def __init__(self, model: Transducer, precision: Precision) -> None:
        assert isinstance(model.decoder, SelfAttentionDecoder)
        self._model, self._precision = model, precision
        if precision.int8:
            _check_numbers(model)
        weight, bias = model.output.weight, model.output.bias
        products = Products(torch.bfloat16 if precision.dtype == torch.bfloat16 else weight.dtype, int8=precision.int8)
        encoder = model.encoder if isinstance(model.encoder, SelfAttentionEncoder) else None
        self._encoder = FastEncoder(encoder.layer, products) if encoder and has_fast_form(encoder.layer) else None
        self._decoder = FastDecoder(model.decoder.layer, products)
        self._output = products.vocabulary(weight, bias, last_norm(model.decoder.layer))
        self._positions = model.decoder.positions

    def start(self, source: Int[Tensor, "groups source"], lengths: Int[Tensor, " groups"]) -> Any:
        if self._encoder is not None:
            assert isinstance(self._model.encoder, SelfAttentionEncoder)
            memory = self._encoder(self._model.encoder.place(self._model.embed_source(source)), lengths)
        else:
            with self._precision.autocast():
                memory = self._model.encode(source, lengths).memory.to(self._model.output.weight.dtype)
        return self._decoder.start(memory, lengths)

    def step(self, tokens: Int[Tensor, " rows"], state: Any, *, align: bool = True) -> Stepped:
        assert isinstance(state, FastCache)
        weights: list[Tensor] | None = [] if align else None
        embedded = nn.functional.embedding(tokens, self._model.target_embedding.weight) * self._model.embedding_scale
        if self._positions is not None:
            embedded = embedded + self._positions(state.steps, 1, embedded)
        features, state = self._decoder.step(embedded, state, weights)
        alignment = weights[-1].mean(1).flatten(0, 1) if weights else None
        logits = self._output(features)
        if self._precision.int8:
            # Integers would hide it.
            broken = ~features.isfinite().all(dim=1)
            if bool(broken.any()):
                logits[broken] = float("nan")
        return Stepped(logits, state, alignment)

    def explain(self) -> str:
        return f"Fast steps: caches are written in place and never moved. Products are in {self._precision.reason}"


def _check_numbers(model: nn.Module) -> None:
    """What is not a number would become one in integers, and nobody would notice."""
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise WorkError(f"The model's weights '{name}' hold what are not numbers; they may be damaged.")


def build_stepper(model: Transducer, precision: Precision) -> Stepper:
    """The fastest way to step this model that gives its numbers (within what `precision` rounds).

    Raises:
        RequestError: the precision is that of 8-bit integers, and the model has no fast steps. WorkError: it is, and
            weights are not numbers.
    """
    if isinstance(model.decoder, SelfAttentionDecoder) and model.pointer is None:
        return FastStepper(model, precision)
    reason = "fast steps do not copy words from the source."
    if not isinstance(model.decoder, SelfAttentionDecoder):
        reason = "fast steps are for Transformer decoders, and this one is recurrent."
    if precision.int8:
        raise RequestError(f"precision is 'int8', expected 'auto', 'bfloat16' or 'float32': {reason}")
    return ModelStepper(model, precision, reason)
