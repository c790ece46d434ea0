"""Packed steps: real steps only, longest sequence first, and back."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlens.layers.packing import Packing

CPU = torch.device("cpu")


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, list[int]]:
    time = draw(st.integers(0, 5))
    return time, draw(st.lists(st.integers(0, time), max_size=5))


@given(batches())
def test_packed_steps_are_those_of_a_plain_loop(batch: tuple[int, list[int]]) -> None:
    time, lengths = batch
    packing = Packing.of(len(lengths), time, torch.tensor(lengths, dtype=torch.int64), CPU)
    ranked = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    places = [[(row, t) for row in ranked if lengths[row] > t] for t in range(max(lengths, default=0))]
    assert packing.order.tolist() == ranked
    assert [ranked[place] for place in packing.inverse.tolist()] == list(range(len(lengths)))
    assert packing.batch_sizes == tuple(len(step) for step in places)
    flat = [place for step in places for place in step]
    assert packing.positions.tolist() == [row * time + t for row, t in flat]
    mirrored = [(row, lengths[row] - 1 - t) for row, t in flat]
    assert packing.reversal.tolist() == [flat.index(place) for place in mirrored]


@given(batches())
def test_unpacking_what_was_packed_zeroes_the_padding(batch: tuple[int, list[int]]) -> None:
    time, lengths = batch
    packing = Packing.of(len(lengths), time, torch.tensor(lengths, dtype=torch.int64), CPU)
    padded = torch.randn(len(lengths), time, 2)
    expected = padded.clone()
    for row, length in enumerate(lengths):
        padded[row, length:] = float("nan")
        expected[row, length:] = 0.0
    assert torch.equal(packing.unpack(packing.pack(padded)), expected)


@given(rows=st.integers(0, 4), time=st.integers(0, 4))
def test_no_lengths_are_full_lengths(rows: int, time: int) -> None:
    """Two ways to plan the same batch: the one without lengths reads no tensor, so that it can be exported."""
    without, full = Packing.of(rows, time, None, CPU), Packing.of(rows, time, torch.full((rows,), time), CPU)
    assert without.batch_sizes == full.batch_sizes
    for name in ("positions", "reversal", "order", "inverse"):
        assert getattr(without, name).tolist() == getattr(full, name).tolist(), name
