"""The search for answers: one model or several, what they read, and what the answers must hold."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple, final

import torch
from jaxtyping import Int
from torch import Tensor, nn

from seqlens.data.batch import pad
from seqlens.data.text import END_ID, PADDING_ID, START_ID, UNKNOWN_ID
from seqlens.decoding import (
    DecodingConfig,
    EnsembleState,
    Hypothesis,
    SearchRequest,
    SearchState,
    StepFunction,
    StepOutput,
    average,
    decode,
)
from seqlens.errors import InputError, RequestError
from seqlens.layers.precision import choose_search_precision
from seqlens.models.stepping import MakeStepper, Stepper, build_stepper
from seqlens.models.transducer import Transducer
from seqlens.tasks.transduce.demands import EncodedDemand

_ROOM = 10
"""Tokens that an answer may have beside what it must hold, however short its input."""


class Member(NamedTuple):
    """A model of a search, the ids it reads of every input, and how long it lets each answer become."""

    model: Transducer
    encoded: Sequence[Sequence[int]]
    limits: Sequence[int]

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.output.weight.device


@final
class Search:
    """Answers batches of the same inputs by the members together: by the mean of their probabilities in each step."""

    def __init__(
        self,
        members: Sequence[Member],
        decoding: DecodingConfig,
        *,
        align: bool = True,
        make_stepper: MakeStepper = build_stepper,
        never: Sequence[int] = (),
    ) -> None:
        """Makes a search; without `align` answers have no alignment. The ids `never` are in none.

        Members that read other ids of an input than the first take no part in its alignment.

        Raises:
            RequestError: answers are to be longer than the positions of a member reach.
        """
        self._members = members
        self._decoding = decoding
        if decoding.min_length > self._bound():
            raise RequestError(
                f"min_length is {decoding.min_length}, expected at most {self._bound()}, as far as the model's "
                "positions reach ('task.model.decoder.max_length' in training)."
            )
        self._steppers = [
            make_stepper(member.model, choose_search_precision(decoding.precision, member.device)) for member in members
        ]
        self._align = align
        self._forbidden_ids = (PADDING_ID, UNKNOWN_ID, START_ID, *never)
        self._copying = any(member.model.pointer is not None for member in members)

    def aligned_alike(self, numbers: Sequence[int]) -> list[list[int]]:
        """Parts the inputs of these numbers by the members that can be aligned with the first."""
        if not self._align or len(self._members) == 1:
            return [list(numbers)]
        parts: dict[tuple[bool, ...], list[int]] = {}
        for number in numbers:
            parts.setdefault(self._reads_alike(number), []).append(number)
        return list(parts.values())

    def _reads_alike(self, number: int) -> tuple[bool, ...]:
        first = self._members[0].encoded[number]
        return tuple(member.encoded[number] == first for member in self._members)

    def batch(
        self,
        numbers: Sequence[int],
        demands: Sequence[EncodedDemand] | None = None,
        streams: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Hypotheses for the inputs of these numbers, which are `aligned_alike`, best first.

        `demands` and `streams` (of random numbers) are theirs, where there are any.
        """
        request = SearchRequest(
            start_id=START_ID,
            end_id=END_ID,
            max_lengths=[self._max_length(number) for number in numbers],
            forbidden_ids=self._forbidden_ids,
            streams=streams,
            device=self._members[0].device,
        )
        if demands is not None:
            request = self._demanding(request, demands)
        with torch.no_grad(), ExitStack() as stack:
            for member in self._members:
                if member.model.training:  # going through all modules takes as long as a step of a small batch
                    # Parts may be in eval mode by themselves, such as frozen ones.
                    stack.callback(_train_again, [part for part in member.model.modules() if part.training])
                    member.model.eval()
            states = [
                self._start(member, stepper, numbers)
                for member, stepper in zip(self._members, self._steppers, strict=True)
            ]
            steps = [
                _step_of(member, stepper, align=self._align and alike, copying=self._copying)
                for member, stepper, alike in zip(
                    self._members, self._steppers, self._reads_alike(numbers[0]), strict=True
                )
            ]
            if len(states) == 1:
                return decode(steps[0], states[0], self._decoding, request)
            return decode(average(steps), EnsembleState(tuple(states)), self._decoding, request)

    def check(self, number: int, demand: EncodedDemand) -> None:
        """Raises an InputError where no answer to the input of this number is long enough for what it must hold."""
        needed, bound = demand.num_tokens, self._bound()
        if needed and needed + 1 > bound:
            raise InputError(
                lambda at: (
                    f"The prefix and constraints of input {at} need {needed + 1} tokens with the end, "
                    f"more than an answer's maximum length {bound}."
                ),
                number + 1,
            )

    def _start(self, member: Member, stepper: Stepper, numbers: Sequence[int]) -> SearchState:
        source = pad([member.encoded[number] for number in numbers]).to(member.device)
        state: SearchState = stepper.start(source.ids, source.lengths)
        return state

    def _bound(self) -> int:
        """What positions and settings allow at most."""
        bounds = [member.model.max_target_length for member in self._members]
        return min([self._decoding.max_length or 2**31, *(bound for bound in bounds if bound is not None)])

    def _max_length(self, number: int) -> int:
        usual = max(member.limits[number] for member in self._members)
        if usual and self._decoding.min_length:
            usual = max(usual, self._decoding.min_length + _ROOM)
        return min(usual, self._bound())

    def _demanding(self, request: SearchRequest, demands: Sequence[EncodedDemand]) -> SearchRequest:
        max_lengths = list(request.max_lengths)
        for place, demand in enumerate(demands):
            if needed := demand.num_tokens:
                max_lengths[place] = max(max_lengths[place], min(needed + _ROOM, self._bound()))
        return replace(
            request,
            max_lengths=max_lengths,
            prefixes=[demand.prefix for demand in demands],
            phrases=[demand.phrases for demand in demands],
        )


def _step_of(member: Member, stepper: Stepper, *, align: bool, copying: bool) -> StepFunction:
    vocab_size = len(member.model.output.weight)

    def step(tokens: Int[Tensor, " rows"], state: SearchState) -> StepOutput:
        return StepOutput(*stepper.step(tokens, state, align=align))

    def step_reading_unknown(tokens: Int[Tensor, " rows"], state: SearchState) -> StepOutput:
        # What another member copied is a word this one does not know.
        return step(torch.where(tokens < vocab_size, tokens, UNKNOWN_ID), state)

    return step_reading_unknown if copying and member.model.pointer is None else step


def _train_again(parts: Sequence[nn.Module]) -> None:
    for part in parts:
        part.training = True
