"""Every benchmark of speed runs, at sizes at which its numbers mean nothing."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from benchmarks.speed import NAMES
from benchmarks.speed.__main__ import measure
from benchmarks.speed.decoding_peers import missing_peers
from benchmarks.speed.recurrent_variants import Kind, Size, Trio
from benchmarks.speed.vocabulary_loss_variants import Size as LossSize
from benchmarks.speed.vocabulary_loss_variants import assert_equal, make_inputs, run_plain
from seqlens.errors import RequestError

BARS = {
    "startup": 2,
    "vocabulary_loss": 1,
    "padding": 1,
    "recurrent": 0,
    "training": 2,
    "decoding": 4,
    "demo": 3,
    "subword_dropout": 0,
}
"""How many figures have a bar; at full size the loss has two sizes and the demo two models."""


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    if name == "decoding" and missing_peers():
        with pytest.raises(RequestError, match=r"pip install -e '\.\[bench\]' brings them"):
            measure(name, quick=True)
        return
    result = measure(name, quick=True)
    assert result.name == name
    assert sum(figure.bar is not None for figure in result.figures) == BARS[name]
    assert len({figure.name for figure in result.figures}) == len(result.figures)
    assert result.facts


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_recurrent_variants_are_one_function_and_a_wrong_weight_is_noticed(kind: Kind, ragged: bool) -> None:
    trio = Trio(kind, Size(6, 4, 5, ragged))
    assert trio.assert_equal() < 1e-5
    with torch.no_grad():
        next(iter(trio.layer.parameters()))[0, 0] += 0.1
    with pytest.raises(AssertionError, match="'ours' differ"):
        trio.assert_equal()


def test_recurrent_operations_are_counted_over_real_steps() -> None:
    # A step of a GRU: three gates, each a product of a row of 8 (state and input of 4) by 4 columns, a multiplication
    # and an addition each; backward costs twice as much.
    assert Size(time=5, batch=3, hidden=4).flops("gru") == 15 * 3 * (3 * 8 * 4 * 2)
    ragged = Size(time=5, batch=3, hidden=4, ragged=True)
    lengths = ragged.lengths()
    assert lengths is not None
    assert lengths.max() == 5
    assert ragged.flops("gru") == int(lengths.sum()) * 3 * (3 * 8 * 4 * 2)


def test_a_loss_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    size = LossSize(rows=20, vocab=9, dim=4)
    assert assert_equal(size) < 1e-5
    assert run_plain(make_inputs(size), 0.0).loss > 0
    monkeypatch.setattr(torch.Tensor, "log", lambda self: torch.zeros_like(self))
    with pytest.raises(AssertionError, match="differs"):
        assert_equal(size)
