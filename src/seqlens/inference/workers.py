"""Several processes that answer batches side by side, one thread each: more than threads give to one search.

A step of a search is many small operations, which two threads share badly; two searches share nothing. A worker reads
the run folder for itself, which takes some seconds at the first call, and stays until the pool is closed.
"""

import contextlib
import functools
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, final

from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError, WorkError
from seqlens.inference.checks import Checksums, check_at_least_one, checksums
from seqlens.tasks.transduce.answer import Translation

_LENGTH = struct.Struct("<Q")
_PROGRAM = "from seqlens.inference.workers import serve; serve()"


class Work(NamedTuple):
    """A batch of texts to answer, as one process would answer it that was asked for batches of `batch_size`."""

    texts: list[str]
    batch_size: int
    decoding: DecodingConfig
    align: bool
    streams: list[int] | None = None
    """Of the texts' random draws, see `draw_streams`."""


class _Failure(NamedTuple):
    """What went wrong in a worker: an error in the user's words, or a traceback."""

    error: Exception | None
    text: str


@final
class WorkerPool:
    """`count` processes with the model of a run folder on the CPU. `close` ends them, as does the end of this one."""

    def __init__(self, run: Path, count: int, weights: Checksums) -> None:
        """Starts the processes; `weights` are those that they have to find in the run when they load it.

        Raises:
            RequestError: `count` is below 1.
        """
        check_at_least_one(workers=count)
        self.count = count
        self._processes = [_start(run.resolve(), weights) for _ in range(count)]
        self._end = weakref.finalize(self, _end, self._processes)

    def answer(self, work: Sequence[Work], progress: Callable[[int], None] | None = None) -> list[list[Translation]]:
        """Answers every batch, in their order; a worker takes the next one as soon as it is free.

        `progress` is told of each batch how many texts it had, one batch at a time.

        Raises:
            RequestError, WorkError: as `predict` in one process; WorkError: a worker died. The pool is closed then.
        """
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(work)):
            waiting.put(number)
        answers: list[list[Translation]] = [[] for _ in work]
        errors: list[Exception] = []
        telling = threading.Lock()

        def attend(process: subprocess.Popen[bytes]) -> None:
            try:
                while not errors:
                    number = waiting.get_nowait()
                    answers[number] = _ask(process, work[number])
                    if progress is not None:
                        with telling:
                            progress(len(work[number].texts))
            except queue.Empty:
                pass
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=attend, args=(process,), daemon=True) for process in self._processes]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:  # Ctrl-C: workers in the middle of a batch are of no use any more
            self.close()
            raise
        if errors:
            self.close()
            raise errors[0]
        return answers

    @property
    def closed(self) -> bool:
        """Whether the processes have been ended."""
        return not self._end.alive

    def close(self) -> None:
        """Ends the processes and waits for them."""
        self._end()


def serve() -> None:
    """What a worker does: answers what comes on stdin until it ends. Results go to stdout, prints to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run, weights = _receive(sys.stdin.buffer)
    predictor = make_stepper = None
    while (work := _receive(sys.stdin.buffer)) is not None:
        try:
            if predictor is None:
                predictor, make_stepper = _load(run, weights)
            found: Any = predictor.task.predict(
                predictor.model,
                work.texts,
                work.decoding,
                batch_size=work.batch_size,
                align=work.align,
                streams=work.streams,
                make_stepper=make_stepper,
            )
        except (RequestError, WorkError) as error:
            found = _Failure(error, "")
        except Exception:
            found = _Failure(None, traceback.format_exc())
        _send(results, found)


def _load(run: Path, weights: Checksums) -> tuple[Any, Any]:
    import torch

    from seqlens.inference.loading import load_transducer
    from seqlens.models.stepping import build_stepper

    torch.set_num_threads(1)
    predictor = load_transducer(run, device="cpu")
    if checksums(predictor.model) != weights:  # another training may have written there meanwhile
        raise RequestError(f"{run} was changed since it was loaded, so workers cannot answer with it; load it again.")
    # The model of a worker never changes, so its weights need not be laid out anew for every batch.
    return predictor, functools.cache(build_stepper)


def _start(run: Path, weights: Checksums) -> subprocess.Popen[bytes]:
    places = [os.path.abspath(place) for place in sys.path if place]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(places)},
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once: the first answer that does not come tells
        _send(process.stdin, (run, weights))
    return process


def _ask(process: subprocess.Popen[bytes], work: Work) -> list[Translation]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        _send(process.stdin, work)
        found = _receive(process.stdout)
    except (BrokenPipeError, ValueError) as error:
        raise _died(process) from error
    if found is None:
        raise _died(process)
    if isinstance(found, _Failure):
        raise found.error or WorkError(f"A worker failed:\n{found.text}")
    answers: list[Translation] = found
    return answers


def _died(process: subprocess.Popen[bytes]) -> WorkError:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    return WorkError(
        f"A worker process ended with exit code {process.returncode} before it answered; "
        "it may have run out of memory (fewer 'workers' or a smaller 'batch_size' need less)."
    )


def _end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _send(pipe: IO[bytes], message: object) -> None:
    data = pickle.dumps(message, protocol=5)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next message; None at the end. Both ends are processes of this program: nothing else writes here."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = pipe.read(length)
    return pickle.loads(data) if len(data) == length else None
