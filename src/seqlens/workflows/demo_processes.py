"""The demo's models in two processes: small models gain little from a second thread, but all from a second process."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, final

import torch

from seqlens.errors import SeqlensError, WorkError
from seqlens.training.observer import FitResult, Observer, Progress, Validation
from seqlens.workflows.demo_contest import Contender, contend, demo_config
from seqlens.workflows.preparation import Announce, Prepared, prepare

Observe = Callable[[str], Observer | None]


@dataclass(frozen=True, slots=True)
class Contest:
    """What both processes know: the demo's name, where it goes, the changes to its recipes."""

    name: str
    folder: Path
    seed: int | None
    steps: int | None

    @property
    def codec_folder(self) -> Path:
        """Where the first process leaves the codec for the second."""
        return self.folder / "codec"


def hold_contest(
    contest: Contest,
    models: Sequence[str],
    prepared: Prepared,
    *,
    num_processes: int,
    announce: Announce,
    observe: Observe,
) -> list[Contender]:
    """Trains the models, this process and up to one more each taking the next; the result is in the models' order."""
    if num_processes < 2:
        return [_train(contest, model, prepared, announce, observe) for model in models]
    context = multiprocessing.get_context("spawn")
    jobs: Any = context.SimpleQueue()
    for model in models:
        jobs.put(model)
    for _ in range(2):
        jobs.put(None)
    prepared.task.save(contest.codec_folder)
    threads = torch.get_num_threads()
    receiver, sender = context.Pipe(duplex=False)
    helper = context.Process(target=_help, args=(contest, jobs, sender, max(1, threads // 2)), daemon=True)
    helper.start()
    sender.close()
    hearing = _Hearing(receiver, announce, observe)
    listener = threading.Thread(target=hearing.listen, daemon=True)
    listener.start()
    contenders: list[Contender] = []
    try:
        torch.set_num_threads(max(1, threads // 2))
        while (model := jobs.get()) is not None:
            contenders.append(_train(contest, model, prepared, announce, observe))
        listener.join()
    finally:
        torch.set_num_threads(threads)
        if listener.is_alive():
            helper.terminate()
    if hearing.failure is not None:
        raise hearing.failure
    helper.join()
    by_name = {contender.name: contender for contender in [*contenders, *hearing.contenders]}
    if missing := [model for model in models if model not in by_name]:
        raise WorkError(f"The second process of the demo ended early, so {', '.join(missing)} did not finish.")
    return [by_name[model] for model in models]


def _train(contest: Contest, model: str, prepared: Prepared, announce: Announce, observe: Observe) -> Contender:
    config = demo_config(f"{contest.name}/{model}", seed=contest.seed, steps=contest.steps)
    announce(f"Training {model}. {config.description}.")
    contender = contend(model, config, prepared, contest.folder, observe(model))
    announce(f"{model}: {contender.exact} over all held-out sentences, {contender.seconds:.0f} s.")
    return contender


def _help(contest: Contest, jobs: Any, sender: Connection, num_threads: int) -> None:
    """The second process: trains what it takes from `jobs`, and tells the first of everything."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    torch.set_num_threads(num_threads)

    def announce(text: str) -> None:
        sender.send(("announce", "", text))

    try:
        prepared: Prepared | None = None
        while (model := jobs.get()) is not None:
            if prepared is None:
                config = demo_config(f"{contest.name}/{model}", seed=contest.seed, steps=contest.steps)
                prepared = prepare(config, codec_folder=contest.codec_folder, announce=lambda text: None)
            contender = _train(contest, model, prepared, announce, lambda name: _Telling(name, sender))
            sender.send(("contender", model, contender))
    except SeqlensError as error:
        sender.send(("failure", "", error))
    except KeyboardInterrupt:
        # The first process was interrupted too, and says so.
        sender.send(("failure", "", WorkError("The demo was interrupted.")))
    finally:
        sender.close()


@final
class _Telling:
    """An observer that passes everything to the first process."""

    def __init__(self, model: str, sender: Connection) -> None:
        self._model = model
        self._sender = sender

    def on_step(self, progress: Progress) -> None:
        self._sender.send(("on_step", self._model, progress))

    def on_validation(self, validation: Validation) -> None:
        self._sender.send(("on_validation", self._model, validation))

    def on_warning(self, text: str) -> None:
        self._sender.send(("on_warning", self._model, text))

    def on_end(self, result: FitResult) -> None:
        self._sender.send(("on_end", self._model, result))


@final
@dataclass(slots=True)
class _Hearing:
    """What the second process tells, passed to the observers of this one."""

    receiver: Connection
    announce: Announce
    observe: Observe
    contenders: list[Contender] = field(default_factory=list)
    failure: SeqlensError | None = None
    _observers: dict[str, Observer | None] = field(default_factory=dict)

    def listen(self) -> None:
        """Hears until the second process has ended."""
        while True:
            try:
                kind, model, content = self.receiver.recv()
            except EOFError:
                return
            match kind:
                case "announce":
                    self.announce(content)
                case "contender":
                    self.contenders.append(content)
                case "failure":
                    self.failure = content
                case _:
                    if model not in self._observers:
                        self._observers[model] = self.observe(model)
                    observer = self._observers[model]
                    if observer is not None:
                        getattr(observer, kind)(content)
