"""A model written out as a table: which symbol follows which, with what probability."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from seqlens.decoding import SearchState, StepFunction, StepOutput


@dataclass(frozen=True)
class NoState:
    """The state of a model that looks at the last symbol only."""

    def reorder(self, rows: Tensor, groups: Tensor | None) -> "NoState":
        return self


@dataclass
class Chain:
    """A Markov chain over symbols; counts its steps and the rows it was given."""

    logits: Tensor  # [vocab, vocab], by last symbol
    num_steps: int = 0
    num_rows: int = 0

    def __call__(self, tokens: Tensor, state: SearchState) -> StepOutput:
        self.num_steps += 1
        self.num_rows += len(tokens)
        return StepOutput(self.logits[tokens], state)


@pytest.fixture
def chain() -> Callable[[Mapping[int, Mapping[int, float]], int], Chain]:
    """Builds a chain from probabilities by last symbol and next symbol; what is left out has probability 0."""

    def build(probabilities: Mapping[int, Mapping[int, float]], vocab_size: int) -> Chain:
        table = torch.zeros(vocab_size, vocab_size, dtype=torch.float64)
        for last, following in probabilities.items():
            for token, probability in following.items():
                table[last, token] = probability
        return Chain(table.log())

    return build


@pytest.fixture
def state() -> NoState:
    return NoState()


@pytest.fixture
def constant() -> Callable[[Tensor], StepFunction]:
    """A model that gives every row the same logits, whatever came before."""

    def build(logits: Tensor) -> StepFunction:
        def step(tokens: Tensor, state: SearchState) -> StepOutput:
            return StepOutput(logits.expand(len(tokens), -1), state)

        return step

    return build
