"""Every benchmark of speed runs, at sizes at which its numbers mean nothing."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from benchmarks.speed import NAMES, recurrent_ragged
from benchmarks.speed.__main__ import measure
from benchmarks.speed.decoding import QUICK_SHAPE
from benchmarks.speed.decoding_peers import make_model, make_task, make_texts, missing_peers
from benchmarks.speed.decoding_systems import Ours, Search
from benchmarks.speed.recurrent_ragged import cost_of_steps
from benchmarks.speed.recurrent_variants import WITH_TORCH, Case, Size
from benchmarks.speed.timing import Times
from benchmarks.speed.vocabulary_loss_variants import Size as LossSize
from benchmarks.speed.vocabulary_loss_variants import assert_equal, make_inputs, run_plain
from seqlens.cells import CellKind
from seqlens.errors import RequestError
from seqlens.inference import load, write_run
from seqlens.layers.int8 import has_int8_products

BARS = {
    "startup": 2,
    "vocabulary_loss": 1,
    "padding": 1,
    "recurrent": 8,
    "recurrent_cells": 38,
    "recurrent_ragged": 10,
    "recurrent_peers": 0,
    "recurrent_memory": 1,
    "training": 2,
    "decoding": 4 + 6 * has_int8_products("cpu"),
    "rounding": 2 + 2 * has_int8_products("cpu"),
    "demo": 3,
    "subword_dropout": 0,
    "processes": 0,
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


@pytest.mark.parametrize("width", [1, 5])
def test_our_answers_have_the_length_that_all_are_to_have(width: int, tmp_path: Path) -> None:
    """Without the peers, so that this is known where they are not installed."""
    task = make_task(QUICK_SHAPE)
    write_run(tmp_path / "ours", task, make_model(task), {"data": {}})
    ours = Ours(load(tmp_path / "ours", device="cpu"), make_texts(task, 6), "float32")
    search = Search(width, 7)
    answers = ours.answer(search, ours.settings(search)[0]._replace(workers=1))
    assert [len(answer.tokens) for answer in answers] == [7] * 6


COMPARED = [
    *((kind, False, False) for kind in WITH_TORCH),
    *((kind, False, True) for kind in recurrent_ragged.CELLS if kind in WITH_TORCH),
    *((kind, True, False) for kind in get_args(CellKind)),
]


@pytest.mark.parametrize(("kind", "loop", "ragged"), COMPARED)
def test_recurrent_variants_are_one_function_and_a_wrong_one_is_noticed(
    kind: CellKind, loop: bool, ragged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(kind, Size(6, 4, 5, ragged))
    assert case.assert_equal(loop=loop) < 1e-5
    assert case.check_executor()
    wrong = case.forward()
    wrong[0, 0, 0] += 0.1
    monkeypatch.setattr(Case, "forward", lambda self: wrong)
    with pytest.raises(AssertionError, match="differ from"):
        case.assert_equal(loop=loop)


def test_a_recurrent_layer_on_the_reference_is_a_failure() -> None:
    case = Case("gru", Size(6, 4, 5))
    case.layer.executor = "reference"
    with pytest.raises(AssertionError, match="reference unroll runs"):
        case.check_executor()


def test_recurrent_operations_are_counted_over_real_steps() -> None:
    # A step of a GRU: three gates, each a product of a row of 8 (state and input of 4) by 4 columns, a multiplication
    # and an addition each; backward costs twice as much.
    cell = Case("gru_after", Size(time=5, batch=3, hidden=4)).cell
    assert Size(time=5, batch=3, hidden=4).flops(cell, training=True) == 15 * 3 * (3 * 8 * 4 * 2)
    assert Size(time=5, batch=3, hidden=4).flops(cell, training=False) == 15 * (3 * 8 * 4 * 2)
    ragged = Size(time=5, batch=3, hidden=4, ragged=True)
    lengths = ragged.lengths()
    assert lengths is not None
    assert lengths.max() == 5
    assert lengths.min() >= 1
    assert ragged.flops(cell, training=True) == int(lengths.sum()) * 3 * (3 * 8 * 4 * 2)


def test_steps_cost_what_was_measured_and_between_it_what_lies_between() -> None:
    costs = {1: Times((10.0, 20.0)), 2: Times((12.0, 24.0)), 4: Times((20.0, 40.0))}
    # Two steps were timed; batches of 4, 3 and 1 then cost 10, 8 and 5 a step.
    assert cost_of_steps([4, 3, 1], costs, 2).seconds == (23.0, 46.0)


def test_a_loss_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    size = LossSize(rows=20, vocab=9, dim=4)
    assert assert_equal(size) < 1e-5
    assert run_plain(make_inputs(size), 0.0).loss > 0
    monkeypatch.setattr(torch.Tensor, "log", lambda self: torch.zeros_like(self))
    with pytest.raises(AssertionError, match="differs"):
        assert_equal(size)
