import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.decoding import SearchRequest, sample
from seqlens.decoding.sampling import draw
from seqlens.errors import RequestError

START, END, A, B, C = range(5)
PROBABILITIES = torch.tensor([0.0, 0.05, 0.15, 0.5, 0.3], dtype=torch.float64)


def frequencies(**settings):
    """Shares of the symbols at 10,000 evenly spaced places of the cumulated distribution: exact to 1e-4."""
    numbers = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    drawn = draw(PROBABILITIES.log().expand(10_000, -1), numbers, **settings)
    return (drawn.bincount(minlength=5) / 10_000).tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0, 0.05, 0.15, 0.5, 0.3]),
        ({"temperature": 0.5}, [p**2 / 0.365 for p in PROBABILITIES.tolist()]),
        ({"top_k": 2}, [0, 0, 0, 0.5 / 0.8, 0.3 / 0.8]),
        ({"top_k": 99}, [0, 0.05, 0.15, 0.5, 0.3]),
        ({"top_p": 0.4}, [0, 0, 0, 1, 0]),
        ({"top_p": 0.6}, [0, 0, 0, 0.5 / 0.8, 0.3 / 0.8]),
        ({"top_p": 1.0}, [0, 0.05, 0.15, 0.5, 0.3]),
        # The share is that of what top-k left: 0.5 / 0.8 already reaches 0.6.
        ({"top_k": 2, "top_p": 0.6}, [0, 0, 0, 1, 0]),
    ],
)
def test_symbols_are_drawn_with_their_probability(settings, expected):
    assert frequencies(**settings) == pytest.approx(expected, abs=2e-4)


def test_of_equal_symbols_top_k_keeps_the_lower_ids():
    drawn = draw(torch.zeros(500, 50), torch.rand(500, dtype=torch.float64), top_k=3)
    assert set(drawn.tolist()) == {0, 1, 2}


@settings(max_examples=100, deadline=None)
@given(
    weights=st.lists(st.sampled_from([0.0, 1e-30, 1e-3, 0.3, 1.0]), min_size=1, max_size=6).filter(any),
    number=st.sampled_from([0.0, 0.5, math.nextafter(1.0, 0.0)]) | st.floats(0, 1, exclude_max=True),
    temperature=st.sampled_from([1e-300, 0.1, 1.0, 50.0]),
    top_p=st.none() | st.floats(0.01, 1.0),
)
def test_what_has_probability_0_is_never_drawn(weights, number, temperature, top_p):
    log_probs = torch.tensor([weights], dtype=torch.float64).log()
    (drawn,) = draw(log_probs, torch.tensor([number], dtype=torch.float64), temperature=temperature, top_p=top_p)
    assert weights[int(drawn)] > 0


def many(chain, state, *, seed=0, num_samples=400, max_lengths=(6, 6), **settings):
    model = chain({START: {A: 0.7, B: 0.3}, A: {A: 0.2, END: 0.8}, B: {C: 0.5, END: 0.5}, C: {END: 1.0}}, 5)
    return sample(
        model,
        state,
        SearchRequest(start_id=START, end_id=END, max_lengths=list(max_lengths)),
        seed=seed,
        num_samples=num_samples,
        **settings,
    )


def test_outputs_come_as_often_as_the_model_gives_them(chain, state):
    first, second = many(chain, state, num_samples=3000)
    for answer in (first, second):
        shares = {tokens: sum(h.tokens == tokens for h in answer) / 3000 for tokens in {h.tokens for h in answer}}
        assert shares[(A,)] == pytest.approx(0.56, abs=0.04)
        assert shares[(B, C)] == pytest.approx(0.15, abs=0.04)
    assert [h.tokens for h in first] != [h.tokens for h in second]


def test_a_seed_fixes_the_draws_and_leaves_the_global_generator_alone(chain, state):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    answers = many(chain, state, seed=1)
    assert torch.rand(3).equal(expected)
    assert answers == many(chain, state, seed=1)
    assert answers != many(chain, state, seed=2)


def test_the_draws_of_an_input_do_not_depend_on_when_another_ends(chain, state):
    long, short = many(chain, state), many(chain, state, max_lengths=(1, 6))
    assert [h.tokens for h in short[0]] == [h.tokens[:1] for h in long[0]]
    assert short[1] == long[1]


def test_the_log_probability_is_that_of_the_model_whatever_the_temperature(chain, state):
    for hypothesis in many(chain, state, temperature=2.5, top_k=2)[0]:
        if hypothesis.tokens == (B, C):
            assert math.exp(hypothesis.log_prob) == pytest.approx(0.15)
            break
    else:
        pytest.fail("B C has probability 0.15 or more and was never drawn")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"temperature": -1.0}, "'temperature' is -1.0"),
        ({"top_k": 0}, "'top_k' is 0, expected 1 or more"),
        ({"top_p": 0.0}, "'top_p' is 0.0, expected a number above 0 and at most 1"),
        ({"num_samples": 0}, "'num_samples' is 0"),
    ],
)
def test_wrong_settings_get_a_sentence(settings, sentence, chain, state):
    with pytest.raises(RequestError, match=sentence):
        many(chain, state, **settings)
