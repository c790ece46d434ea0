"""Batches made in the background while the model works on the one before."""

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, final, runtime_checkable

import numpy as np
from jaxtyping import Int64

# How long closing waits for a batch that is just being made; the thread is a daemon and ends with it.
_CLOSING_SECONDS = 5.0

Batch = TypeVar("Batch")
_Made = tuple[Batch, dict[str, Any]]  # a batch and the sampler's state after it


@runtime_checkable
class ResumableSampler(Protocol):
    """Iterator over index arrays that can say where it is and continue from there."""

    def __next__(self) -> Int64[np.ndarray, "_"]: ...

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@final
class Loader(Generic[Batch]):
    """Iterator over `make_batch(indices)` for the indices a sampler gives, up to `prefetch` of them made ahead.

    A thread calls the sampler and `make_batch`; with `prefetch=0` there is none, and the batches are the same. The
    sampler belongs to the loader: it runs ahead, so ask the loader, not the sampler, for the state. What either of
    them raises is raised here with its traceback, after the batches made before; the loader then has ended.
    """

    def __init__(
        self,
        make_batch: Callable[[Int64[np.ndarray, "_"]], Batch],
        sampler: ResumableSampler,
        *,
        prefetch: int = 4,
    ) -> None:
        if prefetch < 0:
            raise ValueError(f"prefetch must be 0 or more, but is {prefetch}")
        self._make_batch = make_batch
        self._sampler = sampler
        self._prefetch = prefetch
        self._state = dict(sampler.state_dict())
        self._failure: BaseException | None = None
        self._closed = False
        self._worker: _Worker[Batch] | None = None
        self._stop_forgotten: weakref.finalize[Any, Any] | None = None

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._closed:
            raise RuntimeError("the loader is closed")
        batch, self._state = self._make() if self._prefetch == 0 else self._take()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The sampler's state after the batch handed out last, whatever has been made ahead."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues after the batch where `state` was taken; batches made ahead are dropped."""
        # Without a limit of time: the thread must be out of the sampler before it is set back.
        self._stop(None)
        self._failure = None
        self._sampler.load_state_dict(state)
        self._state = dict(self._sampler.state_dict())

    def close(self) -> None:
        """Ends the thread; the state can still be asked for. A loader that is forgotten closes itself."""
        self._closed = True
        self._stop(_CLOSING_SECONDS)

    def __enter__(self) -> "Loader[Batch]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _stop(self, seconds: float | None) -> None:
        if self._worker is not None:
            self._worker.stop(seconds)
            self._worker = None
        if self._stop_forgotten is not None:
            self._stop_forgotten.detach()

    def _make(self) -> _Made[Batch]:
        if self._failure is not None:
            raise self._failure
        try:
            return _make_next(self._make_batch, self._sampler)
        except BaseException as error:
            self._failure = error
            raise

    def _take(self) -> _Made[Batch]:
        if self._worker is None:
            self._worker = _Worker(self._make_batch, self._sampler, self._prefetch)
            # The thread knows the worker, not the loader: so a forgotten loader is collected, and this runs then, or
            # at the latest before the interpreter ends.
            self._stop_forgotten = weakref.finalize(self, self._worker.stop, _CLOSING_SECONDS)
        return self._worker.take()


def _make_next(make_batch: Callable[[Int64[np.ndarray, "_"]], Batch], sampler: ResumableSampler) -> _Made[Batch]:
    indices = next(sampler)
    state = dict(sampler.state_dict())
    return make_batch(indices), state


@final
class _Worker(Generic[Batch]):
    """The thread and its queue of at most `capacity` batches, or of the exception that ended it."""

    def __init__(
        self,
        make_batch: Callable[[Int64[np.ndarray, "_"]], Batch],
        sampler: ResumableSampler,
        capacity: int,
    ) -> None:
        self._make_batch = make_batch
        self._sampler = sampler
        self._capacity = capacity
        self._made: deque[_Made[Batch]] = deque()
        self._failure: BaseException | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="seqlens-loader", daemon=True)
        self._thread.start()

    def take(self) -> _Made[Batch]:
        with self._changed:
            while not self._made:
                if self._failure is not None:
                    raise self._failure
                if self._stopped:
                    raise RuntimeError("the loader was closed while a batch was waited for")
                self._changed.wait()
            self._changed.notify_all()
            return self._made.popleft()

    def stop(self, seconds: float | None) -> None:
        with self._changed:
            self._stopped = True
            self._made.clear()
            self._changed.notify_all()
        # The collector may run this in the thread itself.
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while self._has_room():
                made = _make_next(self._make_batch, self._sampler)
                with self._changed:
                    self._made.append(made)
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _has_room(self) -> bool:
        with self._changed:
            while len(self._made) >= self._capacity and not self._stopped:
                self._changed.wait()
            return not self._stopped
