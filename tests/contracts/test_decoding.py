"""What every search promises, over a toy model whose every prediction depends on its whole history."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlens.decoding import (
    DecodingConfig,
    Hypothesis,
    SearchRequest,
    beam_search,
    decode,
    greedy_search,
    sample,
)
from tests.contracts.toy_search import END, START, ToyModel, assert_same
from tests.draws import draws

penalties = st.sampled_from([0.0, 0.3, 1.0, 2.0])
seeds = st.integers(0, 10_000)


@draws(40)
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
        SearchRequest(
            start_id=START, end_id=END, max_lengths=max_lengths, length_penalty=penalty, forbidden_ids=sorted(forbidden)
        ),
        beam_width=vocab_size ** max(max_lengths),
        num_best=num_best,
    )
    for source, max_length in enumerate(max_lengths):
        expected = model.enumerate_finished(source, max_length, penalty, forbidden)[:num_best]
        assert_same([h for h in found[source] if h.finished], expected)


@draws(60)
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
        "start_id": START,
        "end_id": END,
        "max_lengths": max_lengths,
        "length_penalty": penalty,
        "min_length": min_length,
    }
    inputs = list(range(len(max_lengths)))
    beam = beam_search(model, model.start(inputs), SearchRequest(**arguments), beam_width=1)
    beam_steps, model.num_steps = model.num_steps, 0
    greedy = greedy_search(model, model.start(inputs), SearchRequest(**arguments))
    cold = sample(model, model.start(inputs), SearchRequest(**arguments), temperature=0.0)
    nearly_cold = sample(model, model.start(inputs), SearchRequest(**arguments), temperature=1e-300)
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
        SearchRequest(start_id=START, end_id=END, max_lengths=max_lengths, forbidden_ids=forbidden, prefixes=prefixes),
    )


@draws(80)
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


@draws(120)
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
