import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.decoding.ranking import best_symbols

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
