import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.decoding.ranking import best_symbol, best_symbols

values = st.sampled_from([-3.0, -2.0, -1.0, 0.0, float("-inf")])


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 12).flatmap(lambda size: st.lists(st.lists(values, min_size=size, max_size=size), min_size=1)),
    count=st.integers(1, 12),
)
def test_the_best_symbols_are_those_of_a_sort_with_lower_ids_first(rows, count):
    log_probs = torch.tensor(rows)
    best, ids = best_symbols(log_probs, count)
    for row, row_best, row_ids in zip(rows, best.tolist(), ids.tolist(), strict=True):
        expected = sorted(range(len(row)), key=lambda token: (-row[token], token))[:count]
        assert row_ids == sorted(row_ids)
        assert [row[token] for token in row_ids] == row_best
        alive = [token for token in expected if row[token] > float("-inf")]
        assert [token for token in row_ids if row[token] > float("-inf")] == sorted(alive)
        assert len(row_ids) == len(set(row_ids)) == len(expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    vocab_size=st.sampled_from([63, 511, 512, 513, 1000, 2049, 3000]),
    count=st.integers(1, 8),
    num_values=st.sampled_from([2, 40, 10_000]),
    dead=st.sampled_from([0.0, 0.5, 0.999]),
)
def test_large_vocabularies_are_searched_by_blocks_to_the_same_end(
    seed: int, vocab_size: int, count: int, num_values: int, dead: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = -torch.randint(num_values, (7, vocab_size), generator=generator).float()
    log_probs[torch.rand(7, vocab_size, generator=generator) < dead] = float("-inf")
    expected_values, expected_ids = log_probs.sort(dim=1, descending=True, stable=True)
    alive = expected_values[:, :count].isfinite()
    best, ids = best_symbols(log_probs, count)
    assert best.equal(log_probs.gather(1, ids))
    assert (ids.diff(dim=1) > 0).all()
    assert best.sort(dim=1, descending=True).values.equal(expected_values[:, :count])
    for row in range(7):
        found = [token for token, value in zip(ids[row].tolist(), best[row].tolist()) if value > float("-inf")]
        assert found == sorted(expected_ids[row, :count][alive[row]].tolist())
    assert best_symbol(log_probs).equal(log_probs.argmax(dim=1))
