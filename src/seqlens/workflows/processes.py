"""Further processes for a training: those that torchrun started, or ones started here."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, final

import torch

from seqlens.errors import RequestError, WorkError
from seqlens.inference.checks import check_at_least_one
from seqlens.training.group import Group, LostProcessError, Place, joined_group, told_place
from seqlens.workflows.follow import LOST, here

_PROGRAM = "from seqlens.workflows.follow import serve; serve()"
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
_ENDING_SECONDS = 60.0
_LAST_WORDS_SECONDS = 10.0
_TOLD_LINES = 12


def check_processes(processes: int, device: torch.device) -> None:
    """Refuses what `training_group` could not do, before anything is written.

    Raises:
        RequestError: torchrun has started processes already, or devices are too few or of a kind that cannot be used.
    """
    place = told_place()
    check_at_least_one(processes=processes)
    if processes > 1 and place.size > 1:
        raise RequestError(f"torchrun has started {place.size} processes already; leave 'processes' out.")
    if max(processes, place.size) == 1:
        return
    if device.type not in ("cpu", "cuda"):
        raise RequestError(f"Several processes train on cpu or cuda, not on '{device}'.")
    if device.index is not None:
        raise RequestError(f"Each of the processes has a device of its own: give '{device.type}', not '{device}'.")
    here_at_least = max(processes, place.local_rank + 1)
    if device.type == "cuda" and here_at_least > (there := torch.cuda.device_count()):
        raise RequestError(
            f"There are {here_at_least} processes on this machine, expected at most one for each CUDA device, of which "
            f"there are {there}; start fewer, or give --device cpu."
        )


@contextmanager
def training_group(folder: Path, device: torch.device, processes: int) -> Iterator[Group]:
    """This process, the first, and those that train with it in `folder`, whose recipe and codec are there already.

    `processes` are started on this machine, unless torchrun has started others; `check_processes` has allowed it.

    Raises:
        WorkError: one of the others ended.
    """
    if processes == 1:
        with joined_group(told_place(), device) as group:
            yield group
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // processes))
    try:
        with _local_addresses(), _Helpers(folder, device, processes) as helpers:
            with joined_group(Place(0, processes), device, helpers.store) as group:
                yield group
            helpers.finish()
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _local_addresses() -> Iterator[None]:
    """The processes of one machine meet at its loopback address: its name may stand for one that cannot be reached."""
    name, interface = "GLOO_SOCKET_IFNAME", _LOOPBACK.get(sys.platform)
    if interface is None or name in os.environ:
        yield
        return
    os.environ[name] = interface
    try:
        yield
    finally:
        del os.environ[name]


@final
class _Helpers:
    """The started processes; they end with the block, whatever happens in it."""

    def __init__(self, folder: Path, device: torch.device, size: int) -> None:
        from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, not listed

        self.store = TCPStore("127.0.0.1", 0, size, is_master=True, wait_for_workers=False)
        self._folder, self._device, self._size = folder, device, size
        self._said: list[IO[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "_Helpers":
        try:
            self._start()
            while not self.store.check([here(rank + 1) for rank in range(len(self._processes))]):
                self._raise_if_ended()
                time.sleep(0.05)
        except BaseException:
            self._end()
            raise
        return self

    def _start(self) -> None:
        shared = {
            **os.environ,
            "WORLD_SIZE": str(self._size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self.store.port),
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
            "PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path if place),
        }
        for rank in range(1, self._size):
            said = tempfile.TemporaryFile()  # noqa: SIM115 - `_end` closes it
            self._said.append(said)
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM, str(self._folder.resolve()), self._device.type],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                )
            except OSError as error:
                raise WorkError(f"Process {rank + 1} of {self._size} cannot be started: {error}.") from error
            self._processes.append(process)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if isinstance(error, LostProcessError):
                # It may be seen to have ended only a while later.
                until = time.monotonic() + _LAST_WORDS_SECONDS
                while time.monotonic() < until and all(process.poll() is None for process in self._processes):
                    time.sleep(0.05)
                self._raise_if_ended(error)
        finally:
            self._end()

    def finish(self) -> None:
        """Waits until all have ended.

        Raises:
            WorkError: one failed.
        """
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDING_SECONDS)
        self._raise_if_ended()

    def _raise_if_ended(self, cause: BaseException | None = None) -> None:
        ended = [process.poll() for process in self._processes]
        # One that ended by itself is told of before one that missed it.
        codes = [code for code in ended if code and code != LOST] or [code for code in ended if code]
        for number, (process, said) in enumerate(zip(self._processes, self._said, strict=True), start=2):
            if codes and process.returncode == codes[0]:
                said.seek(0)
                lines = said.read().decode(errors="replace").splitlines()[-_TOLD_LINES:]
                raise WorkError(
                    f"Process {number} of {len(self._processes) + 1} ended with exit code {process.returncode}. "
                    + ("It said last:\n" + "\n".join(lines) if lines else "It said nothing.")
                ) from cause

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for said in self._said:
            said.close()
