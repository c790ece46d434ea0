import json
import random

import numpy
import pytest
import safetensors.torch
import torch

from seqlens.training.randomness import (
    capture_randomness,
    restore_randomness,
    seed_everything,
    undisturbed_randomness,
)

CPU = torch.device("cpu")


def draw() -> list[float]:
    """From every generator; `gauss` and `standard_normal` keep half of what they draw for the next call."""
    draws = [
        random.random(),
        random.gauss(),
        numpy.random.rand(),
        numpy.random.standard_normal(),
        torch.rand(()).item(),
    ]
    return [*draws, torch.randn(()).item(), torch.nn.functional.dropout(torch.ones(64)).sum().item()]


@pytest.fixture(autouse=True)
def _undisturbed() -> object:
    with undisturbed_randomness(CPU):
        yield


@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_a_seed_decides_every_draw(seed: int) -> None:
    seed_everything(seed)
    first = draw()
    seed_everything(seed)
    assert draw() == first
    assert draw() != first


@pytest.mark.parametrize("drawn_before", [0, 1, 2])
def test_the_state_goes_through_safetensors_and_json(drawn_before: int) -> None:
    seed_everything(3)
    for _ in range(drawn_before):
        draw()
    state = capture_randomness(CPU)
    tensors = safetensors.torch.load(safetensors.torch.save(state.tensors))
    values = json.loads(json.dumps(state.values))
    expected = [draw(), draw()]
    seed_everything(99)
    restore_randomness(CPU, tensors, values)
    assert [draw(), draw()] == expected


def test_draws_inside_do_not_count_even_if_it_fails() -> None:
    seed_everything(3)
    expected = [draw(), draw()]
    seed_everything(3)
    first = draw()

    def draw_and_fail() -> None:
        with undisturbed_randomness(CPU):
            seed_everything(5)
            draw()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw_and_fail()
    assert [first, draw()] == expected
