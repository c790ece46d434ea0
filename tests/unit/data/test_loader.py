import gc
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from seqlens.data.loader import Loader
from seqlens.data.sampler import TokenBudgetSampler


def sampler(seed: int = 0) -> TokenBudgetSampler:
    return TokenBudgetSampler(np.arange(1, 30), max_tokens=60, shuffle=True, seed=seed)


def as_list(indices: np.ndarray) -> list[int]:
    return [int(index) for index in indices]


class Counting:
    """A sampler over 0, 1, 2, ... that tells how far it has run."""

    def __init__(self, stop: int | None = None) -> None:
        self.position = 0
        self.stop = stop
        self.drawn = threading.Semaphore(0)

    def __next__(self) -> np.ndarray:
        if self.position == self.stop:
            raise StopIteration
        self.position += 1
        self.drawn.release()
        return np.array([self.position - 1])

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.position = state["position"]


def wait_until_drawn(counting: Counting, times: int) -> None:
    for _ in range(times):
        assert counting.drawn.acquire(timeout=30)


def started_since(before: set[threading.Thread]) -> set[threading.Thread]:
    return set(threading.enumerate()) - before


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_batches_come_in_the_samplers_order(prefetch: int) -> None:
    expected = sampler()
    with Loader(as_list, sampler(), prefetch=prefetch) as loader:
        for _ in range(40):
            assert next(loader) == next(expected).tolist()


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_state_is_that_of_consumed_batches(prefetch: int) -> None:
    expected = sampler()
    with Loader(as_list, sampler(), prefetch=prefetch) as loader:
        assert loader.state_dict() == expected.state_dict()
        for _ in range(25):
            next(loader), next(expected)
            assert loader.state_dict() == expected.state_dict()


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("consumed", [0, 1, 9, 20])
def test_resumed_equals_uninterrupted(prefetch: int, consumed: int) -> None:
    with Loader(as_list, sampler(), prefetch=prefetch) as whole, Loader(as_list, sampler(seed=9)) as resumed:
        for _ in range(consumed):
            next(whole)
        next(resumed)
        resumed.load_state_dict(whole.state_dict())

        assert resumed.state_dict() == whole.state_dict()
        assert [next(resumed) for _ in range(20)] == [next(whole) for _ in range(20)]


def test_batches_are_made_ahead_and_no_more_than_asked() -> None:
    counting = Counting()
    with Loader(as_list, counting, prefetch=3) as loader:
        assert next(loader) == [0]
        wait_until_drawn(counting, 4)  # one taken, three waiting
        assert not counting.drawn.acquire(timeout=0.05)
        assert loader.state_dict() == {"position": 1}


def test_without_prefetch_there_is_no_thread() -> None:
    before = set(threading.enumerate())
    with Loader(as_list, Counting(), prefetch=0) as loader:
        next(loader)
        assert started_since(before) == set()


def refuse_two(indices: np.ndarray) -> list[int]:
    if indices[0] == 2:
        raise KeyError("no batch 2")
    return as_list(indices)


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_what_goes_wrong_is_raised_here_with_its_traceback_after_the_batches_before(prefetch: int) -> None:
    with Loader(refuse_two, Counting(), prefetch=prefetch) as loader:
        assert [next(loader), next(loader)] == [[0], [1]]
        for _ in range(2):  # and again, rather than going on with a batch missing
            with pytest.raises(KeyError, match="no batch 2") as caught:
                next(loader)
            assert "refuse_two" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert loader.state_dict() == {"position": 2}


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_sampler_that_ends_ends_the_loader(prefetch: int) -> None:
    with Loader(as_list, Counting(stop=3), prefetch=prefetch) as loader:
        assert list(loader) == [[0], [1], [2]]
        assert list(loader) == []


@pytest.mark.parametrize("prefetch", [0, 2])
def test_after_a_failure_it_can_be_set_back(prefetch: int) -> None:
    with Loader(refuse_two, Counting(), prefetch=prefetch) as loader:
        with pytest.raises(KeyError):
            list(loader)
        loader.load_state_dict({"position": 5})
        assert next(loader) == [5]


def test_closing_ends_the_thread_and_keeps_the_state() -> None:
    before = set(threading.enumerate())
    counting = Counting()
    loader = Loader(as_list, counting, prefetch=2)
    next(loader)
    wait_until_drawn(counting, 3)  # the thread is waiting for room
    (thread,) = started_since(before)

    loader.close()
    loader.close()

    assert not thread.is_alive()
    assert loader.state_dict() == {"position": 1}
    with pytest.raises(RuntimeError, match="closed"):
        next(loader)


def test_a_forgotten_loader_ends_its_thread() -> None:
    before = set(threading.enumerate())
    loader = Loader(as_list, Counting(), prefetch=2)
    next(loader)
    (thread,) = started_since(before)

    del loader
    gc.collect()

    assert not thread.is_alive()


def test_the_interpreter_ends_while_a_thread_is_at_work() -> None:
    program = """
        import itertools, numpy as np
        from seqlens.data.loader import Loader

        class Endless:
            def __next__(self): return np.zeros(1, dtype=np.int64)
            def state_dict(self): return {}
            def load_state_dict(self, state): pass

        loader = Loader(lambda indices: indices, Endless(), prefetch=2)
        next(loader)
        print("done")
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "done\n", "")


def test_prefetch_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="prefetch must be 0 or more, but is -1"):
        Loader(as_list, Counting(), prefetch=-1)
