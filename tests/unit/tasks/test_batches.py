"""Which texts are answered together."""

from hypothesis import given
from hypothesis import strategies as st

from seqlens.tasks.transduce.batches import LONG, plan_batches


def plan(lengths: list[int], batch_size: int) -> list[list[int]]:
    return plan_batches(["x"] * len(lengths), [[0] * length for length in lengths], batch_size)


def test_texts_of_usual_length_fill_their_batches() -> None:
    assert plan([3, LONG, 5, 4, 7], 2) == [[1, 4], [2, 3], [0]]
    assert plan_batches(["x", " ", "y", ""], [[0]] * 4, 8) == [[0, 2]], "empty ones are in none"


def test_a_long_text_is_alone_with_its_like() -> None:
    assert plan([3, 10 * LONG, 5, 6 * LONG, 4 * LONG, 2 * LONG], 64) == [[1, 3], [4, 5], [2, 0]]
    assert plan([4 * LONG] * 40, 64) == [list(range(first, min(first + 16, 40))) for first in (0, 16, 32)]
    assert plan([2 * LONG, 2 * LONG], 1) == [[0], [1]]


@given(st.lists(st.integers(1, 5000), max_size=40), st.integers(1, 64))
def test_padding_never_costs_more_than_a_batch_of_usual_texts_or_one_text(lengths: list[int], batch_size: int) -> None:
    batches = plan(lengths, batch_size)
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[number] for number in batch)
        assert len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * longest <= batch_size * LONG
    order = [lengths[number] for batch in batches for number in batch]
    assert order == sorted(order, reverse=True)
