"""From a run folder to what answers."""

from collections.abc import Sequence
from pathlib import Path

import torch

from seqlens.errors import RequestError
from seqlens.inference.device import choose_device
from seqlens.inference.example_predictor import ExamplePredictor
from seqlens.inference.predictor import Predictor
from seqlens.inference.run_folder import LoadedExampleRun, read_any_run, read_run


def load(
    run: str | Path | Sequence[str | Path], *, device: torch.device | str = "auto"
) -> Predictor | ExamplePredictor:
    """Loads a run folder of any task; several, if they write texts, answer together: see `load_transducer`.

    Raises:
        RequestError: there is no such run or device, or several runs cannot answer together.
        WorkError: a file of it is damaged.
    """
    if isinstance(run, (str, Path)) or len(run) == 1:
        path = Path(run if isinstance(run, (str, Path)) else run[0])
        where = choose_device(device)
        loaded = read_any_run(path)
        if isinstance(loaded, LoadedExampleRun):
            return ExamplePredictor(loaded, device=where)
        return Predictor(loaded, device=where)
    return load_transducer(run, device=device)


def load_transducer(run: str | Path | Sequence[str | Path], *, device: torch.device | str = "auto") -> Predictor:
    """Loads a run folder of the task `transduce`; `auto` takes a CUDA device where there is one.

    Several runs answer together, as an ensemble: each step of the search goes by the mean of their probabilities. Each
    reads the input in its own way, but they must write with the same vocabulary. Settings and limits that are not the
    same in all are the first run's, but an answer may become as long as any of them lets it.

    Raises:
        RequestError: there is no such run or device, or runs write with different vocabularies.
        WorkError: a file of it is damaged.
    """
    paths = [run] if isinstance(run, (str, Path)) else list(run)
    if not paths:
        raise RequestError("There are no runs to load, expected one or more.")
    where = choose_device(device)
    first, *others = (Predictor(read_run(Path(path)), device=where) for path in paths)
    return first.joined_by(others) if others else first
