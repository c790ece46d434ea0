"""The kinds of task: from settings to a fitted task, and back from a run folder."""

from collections.abc import Callable, Iterable
from pathlib import Path

from seqlens.data.examples import Pair
from seqlens.tasks.transduce.config import TransduceConfig
from seqlens.tasks.transduce.task import TransduceTask

TaskConfig = TransduceConfig
"""A union tagged by `kind`; `transduce` is its first member."""

Task = TransduceTask


def fit_task(config: TaskConfig, read_pairs: Callable[[], Iterable[Pair]]) -> Task:
    """Fits what a task learns before training: its codecs."""
    return TransduceTask.fit(config, read_pairs)


def load_task(config: TaskConfig, folder: Path) -> Task:
    """Loads a fitted task from the `codec` folder of a run."""
    return TransduceTask.load(config, folder)
