"""A toy model whose every prediction depends on its whole history, and all outputs it can give."""

from dataclasses import dataclass, replace
from typing import Self

import pytest
import torch
from torch import Tensor

from seqlens.decoding import Hypothesis, SearchState, StepOutput

START, END = 0, 1
NUM_STATES = 1009


@dataclass(frozen=True)
class ToyState:
    """Histories by row and inputs by group; `reorder` checks that the search keeps the two in step."""

    histories: Tensor  # [rows, time]
    row_inputs: Tensor  # [rows], which input a row belongs to
    group_inputs: Tensor  # [groups]

    def reorder(self, rows: Tensor, groups: Tensor | None) -> Self:
        group_inputs = self.group_inputs if groups is None else self.group_inputs[groups]
        row_inputs = self.row_inputs[rows]
        assert len(rows) % len(group_inputs) == 0
        assert row_inputs.equal(group_inputs.repeat_interleave(len(rows) // len(group_inputs)))
        return replace(self, histories=self.histories[rows], row_inputs=row_inputs, group_inputs=group_inputs)


class ToyModel:
    """Logits and alignments looked up by a hash of the input and of all symbols so far."""

    def __init__(self, vocab_size: int, seed: int, *, num_values: int | None = None) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.logits = 2 * torch.randn(NUM_STATES, vocab_size, generator=generator, dtype=torch.float64)
        if num_values is not None:  # few different values, so that ties abound
            self.logits = (self.logits * num_values).round() / num_values
        self.alignments = torch.rand(NUM_STATES, 3, generator=generator, dtype=torch.float64)
        self.num_steps = 0

    def start(self, inputs: list[int]) -> ToyState:
        ids = torch.tensor(inputs, dtype=torch.int64)
        return ToyState(torch.zeros(len(ids), 0, dtype=torch.int64), ids, ids)

    def __call__(self, tokens: Tensor, state: SearchState) -> StepOutput:
        assert isinstance(state, ToyState)
        self.num_steps += 1
        histories = torch.cat([state.histories, tokens[:, None]], dim=1)
        place = self.place(state.row_inputs, histories)
        return StepOutput(self.logits[place], replace(state, histories=histories), self.alignments[place])

    def place(self, inputs: Tensor, histories: Tensor) -> Tensor:
        place = inputs * 7919 + 17
        for column in histories.T:
            place = (place * 31 + column + 1) % 1_000_003
        return place % NUM_STATES

    def log_probs(self, source: int, tokens: list[int]) -> Tensor:
        """Log-probabilities of the symbol after `tokens`, computed alone and from scratch."""
        place = self.place(torch.tensor([source]), torch.tensor([[START, *tokens]]))
        return torch.log_softmax(self.logits[place[0]], dim=0)

    def enumerate_finished(self, source: int, max_length: int, penalty: float, forbidden: set[int]) -> list[Hypothesis]:
        """Every finished output of up to `max_length` symbols, best first."""
        found: list[Hypothesis] = []
        prefixes: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        for length in range(1, max_length + 1):
            longer: list[tuple[tuple[int, ...], float]] = []
            for tokens, log_prob in prefixes:
                following = self.log_probs(source, list(tokens)).tolist()
                ended = log_prob + following[END]
                found.append(Hypothesis(tokens, ended, ended / length**penalty, finished=True))
                longer += [
                    ((*tokens, token), log_prob + value)
                    for token, value in enumerate(following)
                    if token != END and token not in forbidden
                ]
            prefixes = longer
        return sorted(found, key=lambda hypothesis: -hypothesis.score)


def assert_same(ours: list[Hypothesis], theirs: list[Hypothesis], *, log_prob_within: float = 1e-12) -> None:
    assert [hypothesis.tokens for hypothesis in ours] == [hypothesis.tokens for hypothesis in theirs]
    assert [hypothesis.finished for hypothesis in ours] == [hypothesis.finished for hypothesis in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.log_prob == pytest.approx(other.log_prob, abs=log_prob_within)
        assert mine.score == pytest.approx(other.score, abs=log_prob_within)


def contains(tokens: tuple[int, ...], phrase: tuple[int, ...]) -> bool:
    return any(tokens[first : first + len(phrase)] == phrase for first in range(len(tokens) - len(phrase) + 1))
