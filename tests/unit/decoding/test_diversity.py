import pytest

from seqlens.decoding import Hypothesis, SearchRequest, beam_search
from seqlens.decoding.diversity import merge_parts

START, END, A, B, C = range(5)
ONE = SearchRequest(start_id=START, end_id=END, max_lengths=[4], length_penalty=0.0)


def search(chain, state, table, *, width, groups, num_best, penalty):
    (found,) = beam_search(
        chain(table, 5),
        state,
        ONE,
        beam_width=width,
        num_best=num_best,
        diversity_groups=groups,
        diversity_penalty=penalty,
    )
    return [one.tokens for one in found]


def test_what_one_group_took_costs_the_next(chain, state):
    table = {START: {A: 0.6, B: 0.3, C: 0.1}, A: {END: 1.0}, B: {END: 1.0}, C: {END: 1.0}}
    assert search(chain, state, table, width=2, groups=2, num_best=2, penalty=0.0) == [(A,)]
    # log(0.6 / 0.3) = 0.69: more makes B the better one.
    assert search(chain, state, table, width=2, groups=2, num_best=2, penalty=0.68) == [(A,)]
    assert search(chain, state, table, width=2, groups=2, num_best=2, penalty=0.70) == [(A,), (B,)]
    # A third group counts what both before it took.
    assert search(chain, state, table, width=3, groups=3, num_best=3, penalty=0.70) == [(A,), (B,)]
    assert search(chain, state, table, width=3, groups=3, num_best=3, penalty=9.0) == [(A,), (B,), (C,)]


def test_an_end_costs_the_next_group_as_any_symbol(chain, state):
    table = {START: {END: 0.6, A: 0.3, B: 0.1}, A: {END: 1.0}, B: {END: 1.0}}
    assert search(chain, state, table, width=2, groups=2, num_best=2, penalty=0.0) == [()]
    assert search(chain, state, table, width=2, groups=2, num_best=2, penalty=9.0) == [(), (B,)]


def hypothesis(*tokens: int, score: float, finished: bool = True) -> Hypothesis:
    return Hypothesis(tokens, score, score, finished)


@pytest.mark.parametrize(
    ("num_best", "expected"),
    [(1, [(A,)]), (2, [(A,), (B,)]), (3, [(A,), (A, A), (B,)]), (9, [(A,), (A, A), (B,), (C,)])],
)
def test_a_list_takes_the_best_of_each_group_first(num_best, expected):
    first = [hypothesis(A, score=-1.0), hypothesis(A, A, score=-1.5), hypothesis(C, score=-0.5, finished=False)]
    second = [hypothesis(B, score=-2.0), hypothesis(A, score=-2.5)]
    (merged,) = merge_parts([first, second], 2, num_best)
    assert [one.tokens for one in merged] == expected


def test_groups_that_agree_give_their_second_best(chain, state):
    table = {START: {A: 0.7, B: 0.2, C: 0.1}, A: {END: 1.0}, B: {END: 1.0}, C: {END: 1.0}}
    found = search(chain, state, table, width=9, groups=3, num_best=3, penalty=0.1)
    assert found == [(A,), (B,), (C,)]
