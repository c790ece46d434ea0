import json
import os
from pathlib import Path

import pytest
import torch

from seqlens.errors import RequestError, WorkError
from seqlens.training.checkpoint import FORMAT, Checkpoint, CheckpointStore


def checkpoint(step: int, *, best_step: int | None = None) -> Checkpoint:
    tensors = {"model": {"w": torch.full((3,), float(step))}, "optimizer": {}}
    return Checkpoint(step, best_step, tensors, {"batches": {"taken": step}, "rate": 0.1}, {"seconds": 1.5})


def unwarned(text: str) -> None:
    pytest.fail(text)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints", every=10, keep=2)
    assert store.load_newest(unwarned) is None
    store.save(checkpoint(20, best_step=10))
    loaded = store.load_newest(unwarned)
    assert loaded is not None
    assert (loaded.step, loaded.best_step, loaded.state) == (20, 10, {"batches": {"taken": 20}, "rate": 0.1})
    assert loaded.clock == {"seconds": 1.5}
    torch.testing.assert_close(loaded.tensors["model"]["w"], torch.full((3,), 20.0))
    assert loaded.tensors["optimizer"] == {}
    names = {path.name for path in store.path(20).iterdir()}
    assert names == {"model.safetensors", "optimizer.safetensors", "state.json", "clock.json"}


def test_the_newest_the_scheduled_and_the_best_stay(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, every=10, keep=2)
    stays = []
    for step, best in [(0, None), (10, 10), (13, 13), (20, 13), (27, 13), (30, 13), (40, 40), (50, 40), (55, 40)]:
        store.save(checkpoint(step, best_step=best))
        stays.append(store.steps())
    assert stays == [
        [0],
        [0, 10],
        [0, 10, 13],  # 13 is the newest and the best
        [10, 13, 20],
        [10, 13, 20, 27],
        [13, 20, 30],  # 27 was neither scheduled nor best
        [13, 30, 40],  # 13 is the best of 30, to which one may have to go back
        [40, 50],
        [40, 50, 55],
    ]
    assert store.scheduled_steps() == [40, 50]


def test_saving_a_step_twice_keeps_the_tensors_and_takes_the_newer_state(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, every=10, keep=1)
    for step, best in ((7, 7), (10, 7)):
        store.save(checkpoint(step, best_step=best))
    before = (store.path(10) / "model.safetensors").stat().st_mtime_ns
    store.save(checkpoint(10, best_step=10))
    assert store.load(10).best_step == 10
    assert (store.path(10) / "model.safetensors").stat().st_mtime_ns == before
    assert store.steps() == [10], "what was the best is no longer needed"
    written = (store.path(10) / "state.json").stat().st_mtime_ns
    store.save(checkpoint(10, best_step=10))
    assert (store.path(10) / "state.json").stat().st_mtime_ns == written


def test_remains_of_a_kill_are_cleared_away(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, every=10, keep=2)
    store.save(checkpoint(10))
    for name in (".writing-step-00000020", ".deleting-step-00000000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    loaded = store.load_newest(unwarned)
    assert loaded is not None
    assert loaded.step == 10
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_failing_disk_leaves_the_ones_before_whole(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path, every=10, keep=1)
    store.save(checkpoint(10))
    replace, calls = os.replace, []

    def failing_replace(source: object, target: object) -> None:
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        replace(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", failing_replace)
    said = r"step 20 could not be written \(.*No space left on device\); that of step 10 is whole"
    with pytest.raises(WorkError, match=said):
        store.save(checkpoint(20))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]
    monkeypatch.undo()
    store.save(checkpoint(20))
    assert store.steps() == [20]


def test_the_first_checkpoint_failing_says_that_there_is_no_other(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(WorkError, match=r"step 0 could not be written \(Not a directory\); there is no other\."):
        CheckpointStore(blocked / "checkpoints", every=10, keep=1).save(checkpoint(0))


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "clock.json"])
def test_the_newest_whole_one_is_used_and_damaged_ones_are_set_aside(name: str, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, every=10, keep=3)
    for step in (10, 20, 30):
        store.save(checkpoint(step))
    (store.path(30) / name).write_bytes(b"\x01")
    (store.path(20) / name).unlink()
    said: list[str] = []
    loaded = store.load_newest(said.append)
    assert loaded is not None
    assert loaded.step == 10
    assert [text.partition(" /")[0] for text in said] == [
        f"The checkpoint of step {step} was set aside, that of step 10 is used." for step in (30, 20)
    ]
    assert name in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("damaged-step-00000020", "damaged-step-00000030", "step-00000010")
    ]


def test_a_later_format_is_refused_not_called_damaged(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, every=10, keep=2)
    store.save(checkpoint(10))
    path = store.path(10) / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": FORMAT + 1}))
    with pytest.raises(RequestError, match=f"has format {FORMAT + 1}, expected at most {FORMAT}"):
        store.load_newest(unwarned)
    assert store.steps() == [10]
