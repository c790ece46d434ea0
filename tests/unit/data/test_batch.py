import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlens.data.batch import PairBatch, Sequences, pad, pad_slices

ROWS = st.lists(st.lists(st.integers(0, 99), max_size=7), max_size=6)


@given(ROWS, st.sampled_from([0, -1, 7]))
def test_pad_keeps_every_token_and_fills_only_behind_it(rows: list[list[int]], padding_id: int) -> None:
    padded = pad(rows, padding_id)

    assert padded.ids.shape == (len(rows), max((len(row) for row in rows), default=0))
    assert padded.ids.dtype == padded.lengths.dtype == torch.int64
    for row, ids, length in zip(rows, padded.ids.tolist(), padded.lengths.tolist(), strict=True):
        assert length == len(row)
        assert ids[:length] == row
        assert set(ids[length:]) <= {padding_id}


@given(ROWS)
def test_mask_is_true_exactly_on_tokens(rows: list[list[int]]) -> None:
    padded = pad(rows)

    assert padded.mask().sum(dim=1).tolist() == [len(row) for row in rows]
    assert padded.ids[padded.mask()].tolist() == [token for row in rows for token in row]


@given(ROWS, st.sampled_from([np.uint16, np.uint32, np.int64]))
def test_slices_of_a_flat_array_pad_as_rows_do(rows: list[list[int]], dtype: type) -> None:
    flat = np.array([token for row in rows for token in row], dtype=dtype)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)

    padded = pad_slices(flat, np.cumsum(lengths) - lengths, lengths)

    expected = pad(rows)
    assert torch.equal(padded.ids, expected.ids)
    assert torch.equal(padded.lengths, expected.lengths)


def test_pad_takes_arrays() -> None:
    padded = pad([np.array([5, 6], dtype=np.uint16), [7]])

    assert padded.ids.tolist() == [[5, 6], [7, 0]]


def test_pad_refuses_a_row_that_is_no_sequence() -> None:
    with pytest.raises(ValueError, match=r"1-D.*\(1, 2\)"):
        pad([np.array([[1, 2]])])


def test_padded_lengths_do_not_share_memory_with_the_callers() -> None:
    lengths = np.array([1, 1], dtype=np.int64)
    padded = pad_slices(np.array([4, 5]), np.array([0, 1]), lengths)

    lengths[:] = 9

    assert padded.lengths.tolist() == [1, 1]


def test_moving_a_batch_moves_ids_and_leaves_lengths() -> None:
    batch = PairBatch(pad([[1, 3]]), pad([[2, 2, 3]]), indices=(4,))

    moved = batch.to("meta")

    assert moved.target is not None
    assert moved.source.ids.device.type == moved.target.ids.device.type == "meta"
    assert moved.source.lengths.tolist() == [2]
    assert moved.target.lengths.tolist() == [3]
    assert moved.indices == (4,)


def test_moving_a_batch_without_targets_gives_none() -> None:
    assert PairBatch(pad([[3]]), None, indices=(0,)).to("cpu").target is None


def test_mask_is_made_where_the_ids_are() -> None:
    assert pad([[1], [2, 3]]).to("meta").mask().device.type == "meta"


def test_sequences_unpack_as_ids_and_lengths() -> None:
    ids, lengths = Sequences(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))

    assert Sequences(ids, lengths).mask().shape == (2, 0)
