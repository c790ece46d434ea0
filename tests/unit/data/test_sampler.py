import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from seqlens.data import sampler as sampler_module
from seqlens.data.sampler import TokenBudgetSampler, length_batches
from seqlens.errors import RequestError

LENGTHS = st.tuples(st.integers(1, 60), st.integers(1, 2)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 30))
)
BUDGETS = st.integers(1, 200)
LIMITS = st.none() | st.integers(1, 8)


def caption_lengths(num_pairs: int) -> NDArray[np.int64]:
    """Lengths as captions and their translations have them: 14 +- 4 tokens, the two sides correlated at 0.86."""
    random = np.random.default_rng(7)
    common = random.gamma(shape=10.5, scale=1.3, size=num_pairs)
    sides = common[:, None] + random.normal(0, 1.55, size=(num_pairs, 2))
    return np.clip(np.rint(sides), 2, None).astype(np.int64)


def within_budget(rows: NDArray[np.int64], lengths: NDArray[np.int64], budget: int, limit: int | None) -> bool:
    fits = len(rows) * max(1, lengths[rows].max()) <= budget and (limit is None or len(rows) <= limit)
    return bool(fits or len(rows) == 1)


def same(left: list[NDArray[np.int64]], right: list[NDArray[np.int64]]) -> bool:
    return [rows.tolist() for rows in left] == [rows.tolist() for rows in right]


@given(LENGTHS, BUDGETS, LIMITS, st.booleans(), st.integers(0, 5))
def test_every_index_comes_once_an_epoch_within_the_budget(
    lengths: NDArray[np.int64], budget: int, limit: int | None, shuffle: bool, epoch: int
) -> None:
    sampler = TokenBudgetSampler(lengths, max_tokens=budget, shuffle=shuffle, seed=1, max_sentences=limit)

    batches = sampler.epoch_batches(epoch)

    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(within_budget(rows, lengths, budget, limit) for rows in batches)


@given(LENGTHS, BUDGETS, LIMITS)
def test_length_batches_cover_all_longest_first(lengths: NDArray[np.int64], budget: int, limit: int | None) -> None:
    batches = length_batches(lengths, budget, limit)

    order = np.concatenate(batches)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert np.all(np.diff(lengths[order].max(axis=1)) <= 0)
    assert all(within_budget(rows, lengths, budget, limit) for rows in batches)


@given(LENGTHS, BUDGETS)
def test_a_batch_has_at_least_half_the_rows_that_would_have_fitted(lengths: NDArray[np.int64], budget: int) -> None:
    batches = length_batches(lengths, budget)

    order = np.concatenate(batches)
    start = 0
    for rows in batches:
        sizes = range(1, len(order) - start + 1)
        most = max(size for size in sizes if within_budget(order[start : start + size], lengths, budget, None))
        assert most / 2 <= len(rows) <= most
        start += len(rows)


def test_length_batches_of_nothing_are_none() -> None:
    assert length_batches(np.zeros((0, 2), dtype=np.int64), 100) == []


def test_one_sided_lengths_may_be_flat() -> None:
    lengths = np.array([3, 1, 2, 9])

    assert same(length_batches(lengths, 9), length_batches(lengths[:, None], 9))
    assert length_batches(lengths, 9)[0].tolist() == [3]


@settings(max_examples=40)
@given(LENGTHS, BUDGETS, st.integers(0, 1000))
def test_the_plan_is_a_function_of_seed_and_epoch(lengths: NDArray[np.int64], budget: int, seed: int) -> None:
    walked = TokenBudgetSampler(lengths, max_tokens=budget, shuffle=True, seed=seed)
    for _ in range(7):
        next(walked)
    fresh = TokenBudgetSampler(lengths, max_tokens=budget, shuffle=True, seed=seed)

    assert same(walked.epoch_batches(3), fresh.epoch_batches(3))


def test_epochs_and_seeds_differ_in_order_and_in_batches() -> None:
    lengths = caption_lengths(2000)
    first = TokenBudgetSampler(lengths, max_tokens=500, shuffle=True, seed=1)
    other = TokenBudgetSampler(lengths, max_tokens=500, shuffle=True, seed=2)

    as_sets = [
        {frozenset(rows.tolist()) for rows in batches}
        for batches in (first.epoch_batches(0), first.epoch_batches(1), other.epoch_batches(0))
    ]

    # Some batches of few, long rows may come again; most must not.
    assert len(as_sets[0] & as_sets[1]) < len(as_sets[0]) / 4
    assert len(as_sets[0] & as_sets[2]) < len(as_sets[0]) / 4


def test_short_and_long_batches_are_mixed_within_an_epoch() -> None:
    lengths = caption_lengths(5000)
    batches = TokenBudgetSampler(lengths, max_tokens=500, shuffle=True, seed=3).epoch_batches(0)

    longest = np.array([lengths[rows].max() for rows in batches])

    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_without_shuffling_every_epoch_is_the_same_longest_first() -> None:
    lengths = caption_lengths(300)
    sampler = TokenBudgetSampler(lengths, max_tokens=200, shuffle=False, seed=0)

    assert same(sampler.epoch_batches(0), sampler.epoch_batches(5))
    assert same(sampler.epoch_batches(0), length_batches(lengths, 200))


@pytest.mark.parametrize("max_tokens", [1024, 2048, 4096])
def test_little_of_a_batch_is_padding(max_tokens: int) -> None:
    sampler = TokenBudgetSampler(caption_lengths(29_000), max_tokens=max_tokens, shuffle=True, seed=0)

    assert max(sampler.padding_waste(epoch) for epoch in range(3)) <= 0.05


def test_batches_are_nearly_full() -> None:
    lengths = caption_lengths(29_000)
    batches = TokenBudgetSampler(lengths, max_tokens=4096, shuffle=True, seed=0).epoch_batches(0)

    assert np.mean([len(rows) * lengths[rows].max() / 4096 for rows in batches]) >= 0.9


def test_padding_waste_counts_both_sides() -> None:
    # One batch: 2 rows of widths 10 and 8, so 36 positions, of which 10 + 8 + 10 + 7 hold a token.
    sampler = TokenBudgetSampler(np.array([[10, 8], [10, 7]]), max_tokens=20, shuffle=False, seed=0)

    assert [sorted(rows.tolist()) for rows in sampler.epoch_batches(0)] == [[0, 1]]
    assert sampler.padding_waste(0) == pytest.approx(36 / 35 - 1)


def test_padding_waste_of_nothing_but_empty_rows_is_zero() -> None:
    assert TokenBudgetSampler(np.zeros(3, dtype=np.int64), max_tokens=2, shuffle=True, seed=0).padding_waste(0) == 0


@settings(max_examples=40)
@given(LENGTHS, st.integers(20, 200), st.booleans(), st.integers(0, 40))
def test_resumed_equals_uninterrupted(lengths: NDArray[np.int64], budget: int, shuffle: bool, consumed: int) -> None:
    whole = TokenBudgetSampler(lengths, max_tokens=budget, shuffle=shuffle, seed=4)
    for _ in range(consumed):
        next(whole)
    state = json.loads(json.dumps(whole.state_dict()))

    resumed = TokenBudgetSampler(lengths, max_tokens=budget, shuffle=shuffle, seed=99)
    next(resumed)
    resumed.load_state_dict(state)

    assert resumed.state_dict() == whole.state_dict()
    for _ in range(12):
        assert next(resumed).tolist() == next(whole).tolist()
        assert resumed.epoch == whole.epoch


def test_resumed_equals_uninterrupted_at_every_position() -> None:
    lengths = caption_lengths(200)
    whole = TokenBudgetSampler(lengths, max_tokens=300, shuffle=True, seed=5)
    states, batches = [whole.state_dict()], []
    for _ in range(3 * len(whole.epoch_batches(0))):
        batches.append(next(whole).tolist())
        states.append(whole.state_dict())

    for position, state in enumerate(states[:-1]):
        resumed = TokenBudgetSampler(lengths, max_tokens=300, shuffle=True, seed=5)
        resumed.load_state_dict(state)
        assert next(resumed).tolist() == batches[position]


def test_the_iterator_walks_through_the_epochs() -> None:
    sampler = TokenBudgetSampler(caption_lengths(50), max_tokens=100, shuffle=True, seed=6)
    expected = sampler.epoch_batches(0) + sampler.epoch_batches(1)

    walked, epochs = [], []
    for _ in expected:
        walked.append(next(sampler))
        epochs.append(sampler.epoch)

    assert same(walked, expected)
    assert epochs == [0] * len(sampler.epoch_batches(0)) + [1] * len(sampler.epoch_batches(1))


@given(LENGTHS, BUDGETS, st.integers(1, 5))
def test_ranks_share_an_epoch_in_equally_many_batches(lengths: NDArray[np.int64], budget: int, world_size: int) -> None:
    ranks = [
        TokenBudgetSampler(lengths, max_tokens=budget, shuffle=True, seed=1, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    shares = [sampler.epoch_batches(2) for sampler in ranks]

    assert len({len(share) for share in shares}) == 1
    batches = [rows for share in shares for rows in share]
    assert all(len(rows) > 0 and within_budget(rows, lengths, budget, None) for rows in batches)
    indices = np.concatenate(batches)
    assert set(indices.tolist()) == set(range(len(lengths)))
    repeated = len(indices) - len(lengths)
    # A row comes twice only where no batch is left that could be halved, and then less than a round of them.
    assert repeated == 0 or (repeated < world_size and all(len(rows) == 1 for rows in batches))


def test_one_state_serves_all_ranks() -> None:
    lengths = caption_lengths(300)
    first, second = (
        TokenBudgetSampler(lengths, max_tokens=300, shuffle=True, seed=1, rank=rank, world_size=2) for rank in (0, 1)
    )
    next(first), next(second)

    assert first.state_dict() == second.state_dict()


def test_large_corpora_are_sorted_in_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "_POOL_SIZE", 3000)
    lengths = caption_lengths(10_000)
    sampler = TokenBudgetSampler(lengths, max_tokens=500, shuffle=True, seed=1)

    assert sorted(np.concatenate(sampler.epoch_batches(0)).tolist()) == list(range(10_000))
    assert sampler.padding_waste(0) <= 0.05


@pytest.mark.parametrize(
    ("lengths", "budget"), [([[5, 5], [5, 6]], 100), ([[5, 5], [5, 5], [5, 5]], 100), ([[5, 5], [5, 5]], 101)]
)
def test_a_state_of_other_data_or_settings_is_refused(lengths: list[list[int]], budget: int) -> None:
    saved = TokenBudgetSampler(np.array([[5, 5], [5, 5]]), max_tokens=100, shuffle=True, seed=1).state_dict()
    sampler = TokenBudgetSampler(np.array(lengths), max_tokens=budget, shuffle=True, seed=1)

    with pytest.raises(RequestError, match="cannot be continued"):
        sampler.load_state_dict(saved)


def test_no_sequences_are_refused() -> None:
    with pytest.raises(RequestError, match="no sequence to make batches of"):
        TokenBudgetSampler(np.zeros((0, 2), dtype=np.int64), max_tokens=10, shuffle=True, seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_tokens": 0}, "max_tokens must be 1 or more, but is 0"),
        ({"max_sentences": 0}, "max_sentences must be 1 or more, or None, but is 0"),
        ({"seed": -1}, "seed must be 0 or more, but is -1"),
        ({"rank": 2, "world_size": 2}, "rank must be from 0 to world_size - 1 = 1, but is 2"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, int], message: str) -> None:
    settings_ = {"max_tokens": 10, "shuffle": True, "seed": 0, **wrong}
    with pytest.raises(ValueError, match=message):
        TokenBudgetSampler(np.array([[1, 1]]), **settings_)  # type: ignore[arg-type]
