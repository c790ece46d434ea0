"""A demo's models in two processes: small models gain little from a second thread, but all from a second process."""

import multiprocessing
import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar, final

import torch

from seqlens.errors import SeqlensError, WorkError
from seqlens.threads import let_waiting_threads_sleep
from seqlens.training.observer import FitResult, Observer, Progress, Validation
from seqlens.workflows.preparation import Announce

Observe = Callable[[str], Observer | None]


class Named(Protocol):
    """What came of one model."""

    @property
    def name(self) -> str: ...


Result = TypeVar("Result", bound=Named)
Train = Callable[[str, Announce, Observe], Result]
"""Trains the model of a name; what it returns must come through a pipe."""


def hold_contest(
    models: Sequence[str],
    train: Train[Result],
    train_in_helper: Callable[[], Train[Result]],
    *,
    num_processes: int,
    announce: Announce,
    observe: Observe,
) -> list[Result]:
    """Trains the models, this process and up to one more each taking the next; the result is in the models' order.

    `train_in_helper` is called in the second process, before its first model; it must come through a pipe.
    """
    if num_processes < 2:
        return [train(model, announce, observe) for model in models]
    context = multiprocessing.get_context("spawn")
    jobs: Any = context.SimpleQueue()
    for model in models:
        jobs.put(model)
    for _ in range(2):
        jobs.put(None)
    threads = torch.get_num_threads()
    receiver, sender = context.Pipe(duplex=False)
    helper = context.Process(target=_help, args=(train_in_helper, jobs, sender, max(1, threads // 2)), daemon=True)
    helper.start()
    sender.close()
    hearing = _Hearing(receiver, announce, observe)
    listener = threading.Thread(target=hearing.listen, daemon=True)
    listener.start()
    results: list[Result] = []
    try:
        torch.set_num_threads(max(1, threads // 2))
        while (model := jobs.get()) is not None:
            results.append(train(model, announce, observe))
        listener.join()
    finally:
        torch.set_num_threads(threads)
        if listener.is_alive():
            helper.terminate()
    if hearing.failure is not None:
        raise hearing.failure
    helper.join()
    by_name = {result.name: result for result in [*results, *hearing.results]}
    if missing := [model for model in models if model not in by_name]:
        raise WorkError(f"The second process of the demo ended early, so {', '.join(missing)} did not finish.")
    return [by_name[model] for model in models]


def _help(make: Callable[[], Train[Any]], jobs: Any, sender: Connection, num_threads: int) -> None:
    """The second process: trains what it takes from `jobs`, and tells the first of everything."""
    let_waiting_threads_sleep()
    torch.set_num_threads(num_threads)

    def announce(text: str) -> None:
        _send(sender, "announce", "", text)

    try:
        train: Train[Any] | None = None
        while (model := jobs.get()) is not None:
            if train is None:
                train = make()
            _send(sender, "result", model, train(model, announce, lambda name: _Telling(name, sender)))
    except SeqlensError as error:
        _send(sender, "failure", "", error)
    except KeyboardInterrupt:
        # The first process was interrupted too, and says so.
        _send(sender, "failure", "", WorkError("The demo was interrupted."))
    finally:
        sender.close()


def _send(sender: Connection, kind: str, model: str, content: Any) -> None:
    """Sends copies: `Connection.send` would share the memory of tensors, which ends with the process that has it."""
    sender.send_bytes(pickle.dumps((kind, model, content)))


@final
class _Telling:
    """An observer that passes everything to the first process."""

    def __init__(self, model: str, sender: Connection) -> None:
        self._model = model
        self._sender = sender

    def on_step(self, progress: Progress) -> None:
        _send(self._sender, "on_step", self._model, progress)

    def on_validation(self, validation: Validation) -> None:
        _send(self._sender, "on_validation", self._model, validation)

    def on_warning(self, text: str) -> None:
        _send(self._sender, "on_warning", self._model, text)

    def on_end(self, result: FitResult) -> None:
        _send(self._sender, "on_end", self._model, result)


@final
@dataclass(slots=True)
class _Hearing:
    """What the second process tells, passed to the observers of this one."""

    receiver: Connection
    announce: Announce
    observe: Observe
    results: list[Any] = field(default_factory=list)
    failure: SeqlensError | None = None
    _observers: dict[str, Observer | None] = field(default_factory=dict)

    def listen(self) -> None:
        """Hears until the second process has ended."""
        while True:
            try:
                kind, model, content = pickle.loads(self.receiver.recv_bytes())
            except EOFError:
                return
            match kind:
                case "announce":
                    self.announce(content)
                case "result":
                    self.results.append(content)
                case "failure":
                    self.failure = content
                case _:
                    if model not in self._observers:
                        self._observers[model] = self.observe(model)
                    observer = self._observers[model]
                    if observer is not None:
                        getattr(observer, kind)(content)
