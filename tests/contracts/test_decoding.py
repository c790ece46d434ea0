"""What every search promises, over a toy model whose every prediction depends on its whole history."""

from dataclasses import dataclass, replace
from typing import Self

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlens.decoding import (
    DecodingConfig,
    Hypothesis,
    SearchState,
    StepOutput,
    beam_search,
    decode,
    greedy_search,
    sample,
)

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


penalties = st.sampled_from([0.0, 0.3, 1.0, 2.0])
seeds = st.integers(0, 10_000)


def assert_same(ours: list[Hypothesis], theirs: list[Hypothesis], *, log_prob_within: float = 1e-12) -> None:
    assert [hypothesis.tokens for hypothesis in ours] == [hypothesis.tokens for hypothesis in theirs]
    assert [hypothesis.finished for hypothesis in ours] == [hypothesis.finished for hypothesis in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.log_prob == pytest.approx(other.log_prob, abs=log_prob_within)
        assert mine.score == pytest.approx(other.score, abs=log_prob_within)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    vocab_size=st.integers(3, 4),
    max_lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    penalty=penalties,
    num_best=st.integers(1, 3),
    forbid_start=st.booleans(),
)
def test_a_beam_as_wide_as_the_search_space_finds_what_enumeration_finds(
    seed: int, vocab_size: int, max_lengths: list[int], penalty: float, num_best: int, forbid_start: bool
) -> None:
    model = ToyModel(vocab_size, seed)
    forbidden = {START} if forbid_start else set()
    found = beam_search(
        model,
        model.start(list(range(len(max_lengths)))),
        num_groups=len(max_lengths),
        start_id=START,
        end_id=END,
        max_lengths=max_lengths,
        beam_width=vocab_size ** max(max_lengths),
        length_penalty=penalty,
        num_best=num_best,
        forbidden_ids=sorted(forbidden),
    )
    for source, max_length in enumerate(max_lengths):
        expected = model.enumerate_finished(source, max_length, penalty, forbidden)[:num_best]
        assert_same([h for h in found[source] if h.finished], expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    vocab_size=st.integers(2, 7),
    max_lengths=st.lists(st.integers(0, 6), max_size=4),
    penalty=penalties,
    num_values=st.sampled_from([None, 1]),
    min_length=st.integers(0, 4),
)
def test_a_beam_of_width_1_is_greedy_search(
    seed: int, vocab_size: int, max_lengths: list[int], penalty: float, num_values: int | None, min_length: int
) -> None:
    model = ToyModel(vocab_size, seed, num_values=num_values)
    arguments = {
        "num_groups": len(max_lengths),
        "start_id": START,
        "end_id": END,
        "max_lengths": max_lengths,
        "length_penalty": penalty,
        "min_length": min_length,
    }
    inputs = list(range(len(max_lengths)))
    beam = beam_search(model, model.start(inputs), beam_width=1, **arguments)
    beam_steps, model.num_steps = model.num_steps, 0
    greedy = greedy_search(model, model.start(inputs), **arguments)
    cold = sample(model, model.start(inputs), temperature=0.0, **arguments)
    nearly_cold = sample(model, model.start(inputs), temperature=1e-300, **arguments)
    assert beam == greedy == cold
    if num_values is None:  # with ties a temperature above 0 may choose either
        assert nearly_cold == greedy
    assert beam_steps == max((len(h.tokens) + h.finished for (h,) in greedy), default=0)


configs = st.builds(
    DecodingConfig,
    method=st.just("beam"),
    beam_width=st.integers(3, 6),
    num_best=st.integers(1, 3),
    length_penalty=penalties,
    stopping=st.sampled_from(["bound", "full"]),
    min_length=st.integers(0, 3),
) | st.builds(
    DecodingConfig,
    method=st.sampled_from(["greedy"]),
    length_penalty=penalties,
    max_length=st.none() | st.integers(1, 6),
)
sampling_configs = st.builds(
    DecodingConfig,
    method=st.just("sample"),
    num_best=st.integers(1, 3),
    temperature=st.floats(0.1, 3.0),
    top_k=st.none() | st.integers(1, 8),
    top_p=st.none() | st.floats(0.05, 1.0),
    seed=seeds,
)


def search(
    model: ToyModel,
    config: DecodingConfig,
    inputs: list[int],
    max_lengths: list[int],
    forbidden: list[int],
    prefixes: list[list[int]] | None = None,
) -> list[list[Hypothesis]]:
    return decode(
        model,
        model.start(inputs),
        config,
        num_groups=len(inputs),
        start_id=START,
        end_id=END,
        max_lengths=max_lengths,
        forbidden_ids=forbidden,
        prefixes=prefixes,
    )


@settings(max_examples=80, deadline=None)
@given(
    config=configs,
    seed=seeds,
    max_lengths=st.lists(st.integers(0, 7), min_size=1, max_size=5),
    num_values=st.sampled_from([None, 1]),
)
def test_an_input_in_a_batch_is_answered_as_alone(
    config: DecodingConfig, seed: int, max_lengths: list[int], num_values: int | None
) -> None:
    model = ToyModel(6, seed, num_values=num_values)
    together = search(model, config, list(range(len(max_lengths))), max_lengths, [START])
    assert together == search(model, config, list(range(len(max_lengths))), max_lengths, [START])
    for source, max_length in enumerate(max_lengths):
        (alone,) = search(model, config, [source], [max_length], [START])
        assert_same(together[source], alone)


@settings(max_examples=120, deadline=None)
@given(
    config=configs | sampling_configs,
    seed=seeds,
    max_lengths=st.lists(st.integers(0, 7), max_size=5),
    forbidden=st.sampled_from([[], [START], [START, 3]]),
    data=st.data(),
)
def test_an_answer_is_what_the_model_says_of_it_and_obeys_the_rules(
    config: DecodingConfig, seed: int, max_lengths: list[int], forbidden: list[int], data: st.DataObject
) -> None:
    model = ToyModel(6, seed)
    inputs = [5 * index for index in range(len(max_lengths))]
    limits = [min(length, config.max_length or length) for length in max_lengths]
    prefixes = [data.draw(st.lists(st.sampled_from([0, 2, 4]), max_size=min(length, 2))) for length in limits]
    answers = search(model, config, inputs, max_lengths, forbidden, prefixes)
    assert len(answers) == len(inputs)
    for source, cap, answer, prefix in zip(inputs, limits, answers, prefixes, strict=True):
        assert 1 <= len(answer) <= config.num_best
        if config.method == "beam":
            assert len({(h.tokens, h.finished) for h in answer}) == len(answer)
            assert answer == sorted(answer, key=lambda h: (not h.finished, -h.score))
        for hypothesis in answer:
            assert list(hypothesis.tokens[: len(prefix)]) == prefix
            assert not set(forbidden) & set(hypothesis.tokens[len(prefix) :])
            check_hypothesis(model, hypothesis, source, cap, config)


def check_hypothesis(
    model: ToyModel, hypothesis: Hypothesis, source: int, max_length: int, config: DecodingConfig
) -> None:
    tokens = list(hypothesis.tokens)
    assert END not in tokens
    length = len(tokens) + hypothesis.finished
    assert length <= max_length
    assert hypothesis.finished or length == max_length
    assert not hypothesis.finished or length >= config.min_length
    chosen = [*tokens, END] if hypothesis.finished else tokens
    log_prob = sum(model.log_probs(source, chosen[:step])[token].item() for step, token in enumerate(chosen))
    assert hypothesis.log_prob == pytest.approx(log_prob, abs=1e-12)
    assert hypothesis.score == pytest.approx(log_prob / max(length, 1) ** config.length_penalty, abs=1e-12)
    if max_length == 0:
        assert hypothesis.alignment is None
        return
    looked = [
        model.alignments[model.place(torch.tensor([source]), torch.tensor([[START, *tokens[:step]]]))[0]]
        for step in range(len(tokens))
    ]
    assert hypothesis.alignment is not None
    assert hypothesis.alignment.shape == (len(tokens), 3)
    if looked:
        assert hypothesis.alignment.equal(torch.stack(looked))
