import builtins
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from seqlens.errors import RequestError
from seqlens.training import FitResult, Progress, Validation
from seqlens.training.tensorboard import TensorBoardObserver


def test_without_the_package_a_sentence_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith(("torch.utils.tensorboard", "tensorboard")):
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(RequestError, match=r"pip install -c constraints\.txt .\.\[tensorboard\]"):
        TensorBoardObserver(tmp_path)


def test_scalars_are_written_under_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[Any, ...]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            written.append(("open", folder, purge_step))

        def add_scalar(self, *arguments: Any) -> None:
            written.append(arguments)

        def add_text(self, *arguments: Any) -> None:
            written.append(arguments)

        def close(self) -> None:
            written.append(("close",))

    stand_in = ModuleType("torch.utils.tensorboard")
    stand_in.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    observer = TensorBoardObserver(tmp_path, every=2)
    for step, norm in ((1, 1.0), (2, float("inf"))):
        observer.on_step(Progress(step, 9, 0.1, 3.5, 100.0, None, 0.01, norm))
    observer.on_validation(Validation(2, {"bleu": 12.5}, True, 0.1))
    observer.on_warning("The gate is closed.")
    observer.on_end(FitResult(2, 0.1, 1.0, 2, {"bleu": 12.5}, "max_steps", "best"))
    assert written == [
        ("open", str(tmp_path), 1),
        ("train/loss", 3.5, 2),
        ("train/learning_rate", 0.01, 2),
        ("train/tokens_per_second", 100.0, 2),
        ("validation/bleu", 12.5, 2),
        ("warning", "The gate is closed.", 2),
        ("close",),
    ]
    written.clear()
    with TensorBoardObserver(tmp_path) as resumed:
        resumed.on_warning("A checkpoint is damaged.")
        resumed.on_step(Progress(7, 9, 0.1, 3.5, 100.0, None, 0.01, 1.0))
    warning = ("warning", "A checkpoint is damaged.", 7)
    assert written == [("open", str(tmp_path), 7), warning, ("close",)], "closed without an end, as after a fault"
