"""Promise 5: a resumed training equals an uninterrupted one, byte for byte, from SIGKILL at any moment.

This file is also the program that is killed. `python test_resume.py sweep CASE FOLDER STRIDE` imports torch once, and
forks a training for each `STRIDE`th thing a training does to the outside world (a write, flush, rename, deletion) and
each loss it computes; the fork kills itself right before that, and another fork resumes it. With STRIDE 1 that is every
moment at which the folder is in another state. `... train CASE FOLDER` trains once.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqlens.errors import RequestError, WorkError
from seqlens.tasks.loss_sum import LossSum
from seqlens.training import (
    AdamWConfig,
    CosineSchedule,
    FitResult,
    PlateauSchedule,
    TrainingConfig,
    fit,
)

CASES = {
    # Everything that has a state, and a learning rate so high that validation gets worse and the plateau rule acts.
    "moving-average": TrainingConfig(
        max_steps=10,
        optimizer=AdamWConfig(learning_rate=0.1),
        schedule=PlateauSchedule(patience=1, warmup_steps=2),
        accumulate_batches=2,
        validate_every=2,
        checkpoint_every=4,
        keep_checkpoints=1,
        ema_decay=0.9,
        log_every=3,
    ),
    "best": TrainingConfig(
        max_epochs=3,
        schedule=CosineSchedule(warmup_steps=2),
        validate_every=3,
        keep_checkpoints=2,
        log_every=2,
        patience=2,
    ),
    "mean-of-last": TrainingConfig(
        max_steps=7,
        validate_every=3,
        checkpoint_every=2,
        average_last=2,
        keep_checkpoints=1,
        log_every=1,
        gradient_clip=0.1,
    ),
    # Truncated backpropagation through time: each batch begins in the state in which the last one ended.
    "carried-state": TrainingConfig(max_steps=9, accumulate_batches=2, validate_every=3, checkpoint_every=2),
}
STRIDE = 11
"""One moment in so many is tried. A checkpoint takes about 30, so each is cut at other places than the one before."""
_TIMED = {"times.jsonl", "clock.json"}


@pytest.fixture(autouse=True)
def _without_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that the system holds, so flushing to the disk only costs time here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Tokens:
    """A batch of token ids."""

    def __init__(self, ids: Tensor) -> None:
        self.ids = ids

    def to(self, device: torch.device) -> "Tokens":
        return Tokens(self.ids.to(device))


class Source:
    """Five batches of unequal sizes, in another order each epoch."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        self._batches = [torch.randint(0, 9, (2 + n, 4 + n), generator=generator) for n in range(5)]
        self._taken = 0

    @property
    def epoch(self) -> int:
        return self._taken // 5

    def __iter__(self) -> Iterator[Tokens]:
        return self

    def __next__(self) -> Tokens:
        order = torch.randperm(5, generator=torch.Generator().manual_seed(self.epoch))
        index = order[self._taken % 5]
        self._taken += 1
        return Tokens(self._batches[int(index)])

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self._taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._taken = state["taken"]


class TiedLanguageModel(nn.Module):
    """Embedding, dropout, GRU, and an output layer that shares the embedding's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 6)
        self.gru = nn.GRU(6, 6, batch_first=True)
        self.norm = nn.LayerNorm(6)
        self.output = nn.Linear(6, 9, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        inputs = nn.functional.dropout(self.embedding(ids), 0.3, self.training)
        state = None if state is None else state.expand(1, len(ids), 6).contiguous()
        outputs, end = self.gru(inputs, state)
        return self.output(self.norm(outputs)), end.detach().mean(1, keepdim=True)


class Carry:
    """The mean of the states in which the last batch ended."""

    def __init__(self) -> None:
        self.state: Tensor | None = None

    def state_tensors(self) -> dict[str, Tensor]:
        return {} if self.state is None else {"hidden": self.state}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        self.state = tensors.get("hidden")


class Forgetful(Carry):
    """What a checkpoint without the carried state would be."""

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        pass


def next_token_loss(model: nn.Module, batch: Tokens, carry: Carry | None = None) -> LossSum:
    logits, end = model(batch.ids[:, :-1], carry and carry.state)
    if carry is not None:
        carry.state = end
    total = nn.functional.cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="sum")
    return LossSum(total, batch.ids[:, 1:].numel(), {"squares": float(logits.detach().square().sum()), "halves": 0.5})


def train(
    case: str,
    folder: Path,
    before_loss: Callable[[int], None] = lambda calls: None,
    *,
    resume: bool = True,
    carried: Callable[[], Carry] = Carry,
) -> FitResult:
    """Trains; `before_loss` is told how many losses were computed before."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = TiedLanguageModel()
    held_out = Tokens(torch.randint(0, 9, (4, 8)))
    carry = carried() if case == "carried-state" else None
    calls = 0

    def compute_loss(model: nn.Module, batch: Tokens) -> LossSum:
        nonlocal calls
        before_loss(calls)
        calls += 1
        return next_token_loss(model, batch, carry)

    def validate(model: nn.Module) -> dict[str, float]:
        loss = next_token_loss(model, held_out)
        return {"loss": float(loss.total) / loss.count, "draw": float(torch.rand(()))}

    result = fit(
        model,
        compute_loss=compute_loss,
        batches=Source(),
        batches_per_epoch=5,
        validate=validate,
        config=CASES[case],
        folder=folder,
        seed=3,
        resume=resume,
        carried=carry,
    )
    values = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    end = [result.steps, result.best_step, result.best_metrics, result.stop_reason, result.weights, values]
    (folder / "end.json").write_text(json.dumps(end))
    return result


class KillAt:
    """Counts calls of the functions by which a training changes the outside world; kills itself before one of them."""

    def __init__(self, moment: float) -> None:
        self._moment = moment
        self.count = 0
        for name in ("fsync", "rename", "replace", "write", "mkdir", "rmdir", "unlink", "ftruncate"):
            setattr(os, name, self._counting(getattr(os, name), do_it=name != "fsync"))  # a kill loses no page

    def event(self, calls: int = 0) -> None:
        self.count += 1
        if self.count > self._moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def _counting(self, function: Callable[..., Any], *, do_it: bool) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.event()
            return function(*arguments, **named) if do_it else None

        return counted


def forked(work: Callable[[], None]) -> int:
    """Does `work` in a fork; returns its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def train_killed_at(case: str, folder: Path, moment: float) -> int:
    """Trains in a fork that is killed at a moment; returns the wait status."""

    def work() -> None:
        kill = KillAt(moment)
        train(case, folder, kill.event)
        folder.with_suffix(".count").write_text(str(kill.count))

    return forked(work)


def sweep(case: str, root: Path, stride: int) -> None:
    """Writes `whole`, and `killed-N` for each `stride`th moment N; a third of these are killed again on the way."""
    train(case, root / "warm-up")  # what torch imports late is imported before the forks
    if train_killed_at(case, root / "whole", math.inf) != 0:
        sys.exit("the uninterrupted training failed")
    moments = int((root / "whole.count").read_text())
    for moment in range(0, moments, stride):
        folder = root / f"killed-{moment:03d}"
        statuses = [train_killed_at(case, folder, moment)]
        if moment // stride % 3 == 0:
            statuses.append(train_killed_at(case, folder, (moment * 7919) % 40))
        if any(not os.WIFSIGNALED(status) for status in statuses[:1]) or train_killed_at(case, folder, math.inf) != 0:
            sys.exit(f"killed at moment {moment}: the training was not killed, or could not be resumed")


def train_on_a_full_disk(case: str, folder: Path) -> None:
    """Trains where no file can grow beyond 1500 bytes from the last batch before step 4 on; prints what is said."""
    import resource  # not on every system

    def fill(calls: int) -> None:
        if calls == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))

    try:
        train(case, folder, fill)
    except WorkError as error:
        print(error)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a run but the timed ones."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in _TIMED]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run_program(*arguments: str | Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process")
@pytest.mark.parametrize("case", CASES)
def test_killed_at_any_moment_and_resumed_equals_uninterrupted(case: str, tmp_path: Path) -> None:
    program = run_program("sweep", case, tmp_path, str(STRIDE))
    output = program.communicate()[0]
    assert program.returncode == 0, output
    expected = contents(tmp_path / "whole")
    assert {"log.jsonl", "end.json"} < expected.keys()
    killed = sorted(tmp_path.glob("killed-*[0-9]"))
    assert len(killed) > 10
    for folder in killed:
        found = contents(folder)
        assert found.keys() == expected.keys(), folder.name
        assert [name for name in found if found[name] != expected[name]] == [], folder.name


def test_killed_from_outside_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    case = "moving-average"
    train(case, tmp_path / "whole")
    program = run_program("train", case, tmp_path / "killed")
    hidden = tmp_path / "killed/checkpoints/.writing-step-00000004"
    deadline = time.monotonic() + 120
    while not hidden.exists() and program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0002)
    program.send_signal(signal.SIGKILL)
    program.communicate()
    train(case, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("call", "number"), [(0, signal.SIGINT), (2, signal.SIGTERM), (3, signal.SIGINT), (5, signal.SIGTERM)]
)
def test_stopped_by_a_signal_and_resumed_equals_uninterrupted(
    case: str, call: int, number: signal.Signals, tmp_path: Path
) -> None:
    def stop(calls: int) -> None:
        if calls == call:
            signal.raise_signal(number)

    train(case, tmp_path / "whole")
    before = signal.getsignal(number)
    result = train(case, tmp_path / "stopped", stop)
    assert signal.getsignal(number) is before
    assert result.stop_reason == "interrupted"
    assert result.steps == call // CASES[case].accumulate_batches + 1
    assert train(case, tmp_path / "stopped").stop_reason != "interrupted"
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_without_the_carried_state_a_resumed_training_differs(tmp_path: Path) -> None:
    case = "carried-state"
    train(case, tmp_path / "whole")
    train(case, tmp_path / "run", lambda calls: signal.raise_signal(signal.SIGTERM) if calls == 9 else None)
    train(case, tmp_path / "run", carried=Forgetful)
    assert contents(tmp_path / "run")["end.json"] != contents(tmp_path / "whole")["end.json"]


def test_a_checkpoint_without_a_carried_state_is_refused(tmp_path: Path) -> None:
    train("carried-state", tmp_path, lambda calls: signal.raise_signal(signal.SIGTERM) if calls == 5 else None)
    for path in tmp_path.glob("checkpoints/*/state.json"):
        content = json.loads(path.read_text())
        del content["sha256"]["carried"]
        path.write_text(json.dumps(content))
    with pytest.raises(RequestError, match="does not fit this training: it holds nothing carried from batch to batch"):
        train("carried-state", tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_resuming_what_has_ended_changes_nothing(case: str, tmp_path: Path) -> None:
    first = train(case, tmp_path)
    before = contents(tmp_path)
    again = train(case, tmp_path, lambda calls: pytest.fail("nothing was left to train"))
    assert contents(tmp_path) == before
    assert (again.stop_reason, again.weights, again.steps) == (first.stop_reason, first.weights, first.steps)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "missing", "flipped", "state"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(damage: str, tmp_path: Path) -> None:
    case = "best"
    train(case, tmp_path / "whole")
    train(case, tmp_path / "run", lambda calls: signal.raise_signal(signal.SIGTERM) if calls == 7 else None)
    newest = max((tmp_path / "run/checkpoints").glob("step-*"))
    spoil(newest, damage)
    train(case, tmp_path / "run")
    aside = tmp_path / f"run/checkpoints/damaged-{newest.name}"
    assert aside.is_dir()
    shutil.rmtree(aside)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_with_every_checkpoint_damaged_a_sentence_says_so_and_all_stay(tmp_path: Path) -> None:
    train("best", tmp_path)
    for folder in (tmp_path / "checkpoints").glob("step-*"):
        spoil(folder, "truncated")
    before = contents(tmp_path)
    with pytest.raises(WorkError, match=r"No checkpoint in .* is whole\..*model\.safetensors is damaged"):
        train("best", tmp_path)
    assert contents(tmp_path) == before


def spoil(folder: Path, damage: str) -> None:
    path = folder / ("state.json" if damage == "state" else "model.safetensors")
    data = path.read_bytes()
    match damage:
        case "truncated" | "state":
            path.write_bytes(data[: len(data) // 2])
        case "emptied":
            path.write_bytes(b"")
        case "missing":
            path.unlink()
        case "flipped":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of file sizes")
def test_a_full_disk_gets_a_sentence_and_leaves_the_checkpoint_before_whole(tmp_path: Path) -> None:
    case = "moving-average"
    program = run_program("fill", case, tmp_path / "run")
    said = program.communicate()[0]
    assert said.startswith("The checkpoint of step 4 could not be written (")
    assert "File too large" in said
    assert "that of step 2 is whole" in said
    names = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert names == ["step-00000000", "step-00000002"]
    train(case, tmp_path / "run")
    train(case, tmp_path / "whole")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


if __name__ == "__main__":
    verb, case_name, place = sys.argv[1:4]
    if verb == "sweep":
        sweep(case_name, Path(place), int(sys.argv[4]))
    elif verb == "fill":
        train_on_a_full_disk(case_name, Path(place))
    else:
        train(case_name, Path(place))
