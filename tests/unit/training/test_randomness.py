import random

import numpy
import pytest
import torch

from seqlens.training.randomness import seed_everything, seed_for, undisturbed_randomness

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


@pytest.mark.parametrize("seed", [0, 7, 2**62])
def test_a_seed_decides_every_draw(seed: int) -> None:
    seed_everything(seed, CPU)
    first = draw()
    seed_everything(seed, CPU)
    assert draw() == first
    seed_everything(seed + 1, CPU)
    assert all(mine != theirs for mine, theirs in zip(draw()[:-1], first[:-1], strict=True))


def test_every_step_has_its_own_seed_in_range() -> None:
    seeds = [seed_for(seed, "step", step) for seed in (0, 1, 10, 11, 2**63 - 1) for step in range(200)]
    seeds += [seed_for(0, "validation", step) for step in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for(3, "step", 5) == 4463980336616213446  # a resumed run may have been begun by an older version


def test_draws_inside_do_not_count_even_if_it_fails() -> None:
    seed_everything(3, CPU)
    expected = [draw(), draw()]
    seed_everything(3, CPU)
    first = draw()

    def draw_and_fail() -> None:
        with undisturbed_randomness(CPU):
            seed_everything(5, CPU)
            draw()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw_and_fail()
    assert [first, draw()] == expected
