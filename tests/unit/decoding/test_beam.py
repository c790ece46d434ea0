import math

import pytest
import torch

from seqlens.decoding import Hypothesis, SearchRequest, StepOutput, beam_search, greedy_search, sample
from seqlens.errors import RequestError, WorkError

START, END, A, B, C = range(5)
ONE = {"start_id": START, "end_id": END}

# Greedy takes A (0.6), after which nothing is likely; B is the better start: 0.4 * 0.9 > 0.6 * 0.3.
GARDEN_PATH = {START: {A: 0.6, B: 0.4}, A: {A: 0.4, B: 0.3, END: 0.3}, B: {END: 0.9, A: 0.1}}


def test_a_beam_finds_what_greedy_search_misses(chain, state):
    (greedy,) = greedy_search(chain(GARDEN_PATH, 5), state, SearchRequest(max_lengths=[9], length_penalty=0.0, **ONE))
    (found,) = beam_search(
        chain(GARDEN_PATH, 5),
        state,
        SearchRequest(max_lengths=[9], length_penalty=0.0, **ONE),
        beam_width=2,
        num_best=2,
    )
    assert greedy[0].tokens[0] == A
    assert [hypothesis.tokens for hypothesis in found] == [(B,), (A, B)]
    assert math.exp(found[0].log_prob) == pytest.approx(0.36)
    assert math.exp(found[1].log_prob) == pytest.approx(0.6 * 0.3 * 0.9)
    assert found[0].log_prob > greedy[0].log_prob


def test_beams_part_at_the_first_step(chain, state):
    # Copies of one start that never part would all return the most probable symbol.
    uniform = {START: {A: 0.5, B: 0.3, C: 0.2}, A: {END: 1.0}, B: {END: 1.0}, C: {END: 1.0}}
    (found,) = beam_search(chain(uniform, 5), state, SearchRequest(max_lengths=[3], **ONE), beam_width=3, num_best=3)
    assert [hypothesis.tokens for hypothesis in found] == [(A,), (B,), (C,)]


def test_the_length_penalty_changes_the_winner(chain, state):
    # The end at once has probability 0.5; A A end has 0.5 * 0.9 * 0.9, less in sum, more a symbol.
    table = {START: {END: 0.5, A: 0.5}, A: {A: 0.1, B: 0.9}, B: {END: 1.0}}
    (short,) = beam_search(
        chain(table, 5), state, SearchRequest(max_lengths=[6], length_penalty=0.0, **ONE), beam_width=4
    )
    (long,) = beam_search(
        chain(table, 5), state, SearchRequest(max_lengths=[6], length_penalty=1.0, **ONE), beam_width=4
    )
    assert short[0].tokens == ()
    assert long[0].tokens == (A, B)
    assert long[0].score == pytest.approx(math.log(0.45) / 3)


def test_an_unfinished_hypothesis_comes_last_and_only_where_finished_ones_are_too_few(chain, state):
    table = {START: {END: 0.01, A: 0.99}, A: {A: 1.0}}
    (found,) = beam_search(
        chain(table, 5), state, SearchRequest(max_lengths=[4], length_penalty=0.0, **ONE), beam_width=3, num_best=3
    )
    assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in found] == [((), True), ((A,) * 4, False)]
    assert found[0].score < found[1].score
    (best,) = beam_search(
        chain(table, 5), state, SearchRequest(max_lengths=[4], length_penalty=0.0, **ONE), beam_width=3
    )
    assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in best] == [((), True)]


def test_a_search_stops_when_nothing_unfinished_can_win(chain, state):
    table = {START: {A: 1.0}, A: {END: 0.9, A: 0.1}}
    model = chain(table, 5)
    beam_search(model, state, SearchRequest(max_lengths=[50], length_penalty=0.0, **ONE), beam_width=3)
    assert model.num_steps == 2
    # The second best needs one more step to be certain of.
    model = chain(table, 5)
    (found,) = beam_search(
        model, state, SearchRequest(max_lengths=[50], length_penalty=0.0, **ONE), beam_width=3, num_best=2
    )
    assert model.num_steps == 3
    assert [hypothesis.tokens for hypothesis in found] == [(A,), (A, A)]


def test_with_a_length_penalty_a_search_goes_on_while_a_long_output_could_win(chain, state):
    # Found at length 2 with score log(0.5)/2; A A A ... end of 12 symbols reaches log(0.5)/12.
    table = {START: {A: 0.5, B: 0.5}, A: {END: 1.0}, B: {C: 1.0}, C: {C: 0.9, END: 0.1}}
    bound, full = chain(table, 5), chain(table, 5)
    (exact,) = beam_search(bound, state, SearchRequest(max_lengths=[12], **ONE), beam_width=2)
    (quick,) = beam_search(full, state, SearchRequest(max_lengths=[12], **ONE), beam_width=2, stopping="full")
    assert exact[0].tokens == (B, *[C] * 10)
    assert exact[0].score > quick[0].score
    assert full.num_steps < bound.num_steps


def test_finished_inputs_leave_the_batch(chain, state):
    table = {START: {A: 1.0}, A: {END: 0.4, A: 0.6}}
    model = chain(table, 5)
    beam_search(model, state, SearchRequest(start_id=START, end_id=END, max_lengths=[0, 1, 4]), beam_width=2)
    # Step 1: two inputs of one row; steps 2 to 4: the one left with two rows.
    assert (model.num_steps, model.num_rows) == (4, 2 + 2 * 3)


def test_finished_hypotheses_do_not_crowd_out_unfinished_ones(chain, state):
    # In step 2 both hypotheses of the beam end best; their continuations must still be followed.
    table = {START: {A: 0.5, B: 0.5}, A: {END: 0.6, C: 0.4}, B: {END: 0.6, C: 0.4}, C: {END: 1.0}}
    (found,) = beam_search(
        chain(table, 5), state, SearchRequest(max_lengths=[5], length_penalty=2.0, **ONE), beam_width=2, num_best=2
    )
    assert [hypothesis.tokens for hypothesis in found] == [(A, C), (B, C)]


@pytest.mark.parametrize("search", [beam_search, greedy_search])
@pytest.mark.parametrize(("min_length", "num_tokens"), [(0, 0), (1, 0), (2, 1), (4, 3)])
def test_the_minimum_length_counts_the_end(search, min_length, num_tokens, chain, state):
    eager = {START: {END: 0.9, A: 0.1}, A: {END: 0.9, A: 0.1}}
    (found,) = search(
        chain(eager, 5), state, SearchRequest(max_lengths=[9], length_penalty=0.0, min_length=min_length, **ONE)
    )
    assert (found[0].tokens, found[0].finished) == ((A,) * num_tokens, True)


@pytest.mark.parametrize("vocab_size", [6, 40])
def test_ties_go_to_the_lower_id(vocab_size, constant, state):
    step = constant(torch.zeros(vocab_size))
    (found,) = beam_search(
        step,
        state,
        SearchRequest(max_lengths=[1], forbidden_ids=[START], min_length=2, **ONE),
        beam_width=4,
        num_best=3,
    )
    assert [hypothesis.tokens for hypothesis in found] == [(2,), (3,), (4,)]
    (greedy,) = greedy_search(step, state, SearchRequest(max_lengths=[2], forbidden_ids=[START], min_length=9, **ONE))
    assert greedy[0].tokens == (2, 2)


def test_a_beam_wider_than_the_vocabulary_fills_up_later(chain, state):
    table = {START: {A: 0.7, B: 0.3}, A: {A: 0.5, B: 0.3, END: 0.2}, B: {A: 0.2, B: 0.3, END: 0.5}}
    (found,) = beam_search(
        chain(table, 5), state, SearchRequest(max_lengths=[3], length_penalty=0.0, **ONE), beam_width=20, num_best=20
    )
    assert len(found) == len({hypothesis.tokens for hypothesis in found}) == 6 + 8
    assert sum(math.exp(hypothesis.log_prob) for hypothesis in found) == pytest.approx(1.0)


class Untouched:
    def reorder(self, rows, groups):
        raise AssertionError("there is nothing to reorder")

    def step(self, tokens, state):
        raise AssertionError("no input wants a symbol")


@pytest.mark.parametrize("search", [beam_search, greedy_search, sample])
def test_an_empty_batch_has_no_answers(search):
    state = Untouched()
    assert search(state.step, state, SearchRequest(start_id=0, end_id=1, max_lengths=[])) == []


@pytest.mark.parametrize("search", [beam_search, greedy_search, sample])
def test_maximum_length_0_gives_an_empty_unfinished_hypothesis(search):
    state = Untouched()
    found = search(state.step, state, SearchRequest(start_id=0, end_id=1, max_lengths=[0, 0]))
    assert found == [[Hypothesis(tokens=(), log_prob=0.0, score=0.0, finished=False)]] * 2


def test_forced_prefixes_are_obeyed_and_scored(chain, state):
    model = chain({START: {A: 0.9, B: 0.1}, A: {END: 1.0}, B: {B: 0.2, END: 0.8}}, 5)
    found = beam_search(
        model,
        state,
        SearchRequest(
            start_id=START,
            end_id=END,
            max_lengths=[4, 4, 4],
            prefixes=[[], [B], [B, B]],
            forbidden_ids=[B],
            length_penalty=0.0,
        ),
    )
    assert [hypotheses[0].tokens for hypotheses in found] == [(A,), (B,), (B, B)]
    assert math.exp(found[2][0].log_prob) == pytest.approx(0.1 * 0.2 * 0.8)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_model_that_gives_no_numbers_is_reported(bad, state):
    def step(tokens, state):
        logits = torch.zeros(len(tokens), 5)
        if len(tokens) > 2:
            logits[2, 3] = bad
        return StepOutput(logits, state)

    with pytest.raises(WorkError, match=r"not numbers .* for symbol 2 of input 1 of the batch"):
        beam_search(step, state, SearchRequest(start_id=0, end_id=1, max_lengths=[5, 5]), beam_width=2)


@pytest.mark.parametrize("search", [beam_search, greedy_search])
def test_an_input_that_can_neither_go_on_nor_end_is_reported(search, chain, state):
    with pytest.raises(WorkError, match="no symbol 2 for input 0"):
        search(
            chain({START: {A: 1.0}, A: {B: 1.0}}, 5), state, SearchRequest(max_lengths=[5], forbidden_ids=[B], **ONE)
        )


def test_half_precision_logits_are_normalised_in_float32(constant, state):
    logits = torch.linspace(-1, 1, 3000, dtype=torch.bfloat16)
    (found,) = greedy_search(constant(logits), state, SearchRequest(max_lengths=[1], min_length=2, **ONE))
    expected = torch.log_softmax(logits.double(), 0).max().item()
    assert found[0].log_prob == pytest.approx(expected, abs=1e-5)


def test_a_source_that_gets_narrower_keeps_its_alignment(chain):
    class Narrowing:
        def reorder(self, rows, groups):
            return self

    def step(tokens, state):
        width = 4 if (tokens == START).all() else 2
        logits = chain({START: {A: 1.0}, A: {B: 1.0}, B: {END: 1.0}}, 5).logits[tokens]
        return StepOutput(logits, state, torch.full((len(tokens), width), 1 / width))

    (found,) = beam_search(step, Narrowing(), SearchRequest(max_lengths=[5], **ONE), beam_width=2)
    assert found[0].alignment.tolist() == [[0.25] * 4, [0.5, 0.5, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"beam_width": 0}, "'beam_width' is 0, expected 1 or more"),
        ({"num_best": 6}, "'num_best' is 6, expected 1 to the beam width 5"),
        ({"num_best": 0}, "'num_best' is 0"),
        ({"diversity_groups": 0}, "'diversity_groups' is 0, expected a divisor of the beam width 5"),
        ({"diversity_groups": 2}, "'diversity_groups' is 2, expected a divisor of the beam width 5"),
        ({"max_lengths": [-1]}, "has the entry -1"),
        ({"forbidden_ids": [END]}, "the end symbol 1, without which nothing can end"),
        ({"length_penalty": -0.5}, "'length_penalty' is -0.5, expected a number from 0 to 10"),
        ({"length_penalty": float("nan")}, "'length_penalty' is nan"),
        ({"forbidden_ids": [77]}, "symbol 77, but the model knows only the symbols 0 to 4"),
        ({"forbidden_ids": [-1]}, "symbol -1, but symbols are numbered from 0"),
        ({"prefixes": []}, "'prefixes' has 0 entries"),
        ({"prefixes": [[A, END]]}, "prefix of input 0 has the end symbol 1"),
        ({"prefixes": [[A] * 4]}, "has 4 symbols, more than its maximum length 3"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments, sentence, constant, state):
    asked = {"max_lengths": [3], **ONE, **arguments}
    settings = {name: asked.pop(name) for name in ("beam_width", "num_best", "diversity_groups") if name in asked}
    with pytest.raises(RequestError, match=sentence):
        beam_search(constant(torch.zeros(5)), state, SearchRequest(**asked), **settings)
