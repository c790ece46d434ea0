"""A training of several processes is that of one: the same steps, up to the order of sums."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import seqlens
from seqlens.errors import RequestError, WorkError
from seqlens.training.group import Group
from seqlens.training.observer import FitResult, Progress, Validation
from seqlens.workflows import processes


class Unlucky:
    def on_step(self, progress: Progress) -> None:
        raise RuntimeError("out of luck")

    def on_validation(self, validation: Validation) -> None: ...

    def on_warning(self, text: str) -> None: ...

    def on_end(self, result: FitResult) -> None: ...


NOTHING_DROPPED = {
    "translation/smoke": {"training.max_steps": 10},
    "dna/smoke": {"task.model.dropout_p": 0.0},
    "ner/smoke": {"training.max_steps": 10, "task.model.dropout_p": 0.0, "task.model.word_dropout": 0.0},
}


def log_of(run: Path) -> list[dict[str, object]]:
    return [flat(json.loads(line)) for line in (run / "log.jsonl").read_text().splitlines()]


def flat(record: dict[str, object]) -> dict[str, object]:
    inner = {
        f"{outer}/{name}": value
        for outer, part in record.items()
        if isinstance(part, dict)
        for name, value in part.items()
    }
    return {name: value for name, value in record.items() if not isinstance(value, dict)} | inner


def assert_same_training(one: Path, other: Path) -> None:
    """Losses, norms and scores are; single weights with hardly a gradient are not, as Adam makes much of noise."""
    mine, theirs = log_of(one), log_of(other)
    assert len(mine) == len(theirs)
    for line, expected in zip(mine, theirs, strict=True):
        assert line == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("recipe", "overrides"), NOTHING_DROPPED.items(), ids=lambda value: str(value).split("/")[0])
def test_two_processes_train_as_one(recipe: str, overrides: dict[str, object], tmp_path: Path) -> None:
    for count in (1, 2):
        seqlens.train(recipe, out=tmp_path / str(count), overrides=overrides, processes=count)
    assert_same_training(tmp_path / "1", tmp_path / "2")


def test_a_process_may_have_no_row_of_a_batch(tmp_path: Path) -> None:
    overrides = {"training.max_steps": 6, "batches.max_tokens": 16}
    for count in (1, 3):
        seqlens.train("translation/smoke", out=tmp_path / str(count), overrides=overrides, processes=count)
    assert_same_training(tmp_path / "1", tmp_path / "3")


def test_another_number_of_processes_goes_on(tmp_path: Path) -> None:
    steady = {"training.schedule": {"kind": "constant"}, "training.validate_every": 4}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    seqlens.train("translation/smoke", out=whole, overrides={**steady, "training.max_steps": 8})
    seqlens.train("translation/smoke", out=parts, overrides={**steady, "training.max_steps": 4}, processes=2)
    seqlens.train("translation/smoke", out=parts, overrides={**steady, "training.max_steps": 8}, resume=True)
    assert_same_training(whole, parts)


def test_more_processes_go_on_with_what_one_began(tmp_path: Path) -> None:
    """The memory of the optimiser, the place in the data and the moving average reach the new ones."""
    steady = {
        "training.schedule": {"kind": "constant"},
        "training.validate_every": 4,
        "training.ema_decay": 0.9,
        "training.accumulate_batches": 2,
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    seqlens.train("translation/smoke", out=whole, overrides={**steady, "training.max_steps": 8})
    seqlens.train("translation/smoke", out=parts, overrides={**steady, "training.max_steps": 4})
    seqlens.train(
        "translation/smoke", out=parts, overrides={**steady, "training.max_steps": 8}, resume=True, processes=2
    )
    assert_same_training(whole, parts)


@pytest.mark.parametrize(
    "overrides",
    [
        # The loss falls, so with `max` the first validation stays the best.
        {"training.validate_every": 2, "training.mode": "max", "training.patience": 2},
        {"training.validate_every": 2, "training.average_last": 3, "training.max_steps": 8},
        {"training.max_steps": 6, "task.r_drop_weight": 1.0},
        {"training.max_steps": 6, "training.max_seconds": 1e6, "training.schedule.follow_time": True},
    ],
    ids=["early stopping", "averaged weights", "R-Drop", "a rate that follows the time"],
)
def test_what_training_can_be_asked_for_two_processes_do_too(overrides: dict[str, object], tmp_path: Path) -> None:
    results = [
        seqlens.train("translation/smoke", out=tmp_path / str(count), overrides=overrides, processes=count).result
        for count in (1, 2)
    ]
    assert_same_training(tmp_path / "1", tmp_path / "2")
    assert results[0].steps == results[1].steps == overrides.get("training.max_steps", 6)
    mine, theirs = (seqlens.evaluate(tmp_path / name).scores for name in ("1", "2"))
    assert {name: score.value for name, score in mine.items()} == pytest.approx(
        {name: score.value for name, score in theirs.items()}
    )


def test_two_processes_start_from_another_run(tmp_path: Path) -> None:
    seqlens.train("translation/smoke", out=tmp_path / "first", overrides={"training.max_steps": 10})
    for count in (1, 2):
        seqlens.train(
            "translation/smoke",
            out=tmp_path / str(count),
            overrides={"training.max_steps": 6},
            init=tmp_path / "first",
            processes=count,
        )
    assert_same_training(tmp_path / "1", tmp_path / "2")
    assert log_of(tmp_path / "2")[0]["loss"] < 0.9 * log_of(tmp_path / "first")[0]["loss"]  # type: ignore[operator]


def test_each_process_drops_other_entries() -> None:
    from seqlens.training.randomness import seed_for

    seeds = {seed_for(1, "step", step, rank) for step in (1, 2) for rank in (0, 1, 2)}
    assert len(seeds) == 6
    assert seed_for(1, "step", 1, 0) == seed_for(1, "step", 1), "one process draws as ever"


def test_the_shares_of_a_batch_are_its_rows() -> None:
    import numpy as np

    shares = [Group(rank, 3).share(np.arange(7)).tolist() for rank in range(3)]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]


def test_a_process_that_cannot_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROGRAM", "raise SystemExit('no memory for me')")
    with pytest.raises(WorkError, match=r"Process 2 of 2 ended with exit code 1.*\n.*no memory for me"):
        seqlens.train("translation/smoke", out=tmp_path / "run", processes=2)


def test_processes_already_started_end_if_another_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = subprocess.Popen, []

    def first_only(*arguments: Any, **named: Any) -> Any:
        if started:
            raise OSError("no process left")
        started.append(start(*arguments, **named))
        return started[0]

    monkeypatch.setattr(processes.subprocess, "Popen", first_only)
    with pytest.raises(WorkError, match=r"Process 3 of 3 cannot be started: no process left\."):
        seqlens.train("translation/smoke", out=tmp_path / "run", processes=3)
    assert [process.poll() for process in started] == [-signal.SIGKILL]


def test_a_process_that_ends_in_the_middle_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import os
from seqlens.training import loop
from seqlens.workflows.follow import serve

train_step = loop.train_step
steps = []

def step(*arguments, **named):
    steps.append(1)
    if len(steps) == 12:
        os._exit(7)
    return train_step(*arguments, **named)

loop.train_step = step
serve()
"""
    monkeypatch.setattr(processes, "_PROGRAM", program)
    with pytest.raises(WorkError, match="Process 2 of 2 ended with exit code 7"):
        seqlens.train("translation/smoke", out=tmp_path / "run", processes=2)
    monkeypatch.undo()
    run = seqlens.train("translation/smoke", out=tmp_path / "run", processes=2, resume=True)
    assert run.result.steps == 30


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are told by Linux")
def test_no_thread_of_the_group_is_left_when_a_process_ends(tmp_path: Path) -> None:
    """Such a thread aborts the end of its process now and then (`terminate called without an active exception`)."""
    program = """
import sys
from pathlib import Path
import seqlens
from seqlens.workflows import processes

names = "[(task / 'comm').read_text().strip() for task in Path('/proc/self/task').iterdir()]"
if __name__ == "__main__":
    processes._PROGRAM += f"; from pathlib import Path; Path('other.txt').write_text(repr({names}))"
    seqlens.train("translation/smoke", out="run", overrides={"training.max_steps": 2}, processes=2)
    Path("first.txt").write_text(repr(eval(names)))
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=300)
    for told in ("other.txt", "first.txt"):
        names = (tmp_path / told).read_text()
        assert "python" in names or "pytest" in names
        assert "gloo" not in names


def test_a_wrong_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="'processes' is 0"):
        seqlens.train("translation/smoke", out=tmp_path / "none", processes=0)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(RequestError, match="torchrun has started 4 processes"):
        seqlens.train("translation/smoke", out=tmp_path / "twice", processes=2)


def test_a_state_carried_from_batch_to_batch_needs_one_process(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="carries its state from batch to batch"):
        seqlens.train("language/prose-gru", out=tmp_path / "run", processes=2)
    assert not (tmp_path / "run" / "recipe.yaml").exists(), "the folder is still free"


def test_torchrun_starts_a_training(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    recipe = ["-m", "seqlens", "train", "translation/smoke", "--out", str(run), "--set", "training.max_steps=4"]
    done = subprocess.run([*command, *recipe], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{run}\n", "only the first process tells"
    assert done.stderr.count("Trained 4 steps") == 1
    assert seqlens.load(run).predict("This book was big.") is not None


def test_torchrun_is_for_training_only() -> None:
    command = [sys.executable, "-m", "seqlens", "recipes"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "RANK": "1", "WORLD_SIZE": "2"}
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: torchrun has started 2 processes, but `seqlens recipes` is for one")


def test_a_fault_of_the_first_process_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        seqlens.train("translation/smoke", out=tmp_path / "run", processes=2, observer=Unlucky())


def test_ctrl_c_ends_all_processes_with_a_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "seqlens", "train", "translation/smoke", "--out", str(run), "--processes", "2"]
    process = subprocess.Popen(
        [*command, "--set", "training.max_steps=100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "step 20 " in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert log_of(run)[-1]["step"] >= 20  # type: ignore[operator]
