"""The kinds of task: from settings to a fitted task, and back from a run folder."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from seqlens.config import DefaultKind
from seqlens.data.examples import Pair
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.task import ClassifyTask
from seqlens.tasks.example_task import ExampleTask
from seqlens.tasks.generate.config import GenerateConfig
from seqlens.tasks.generate.task import GenerateTask
from seqlens.tasks.mark.config import MarkConfig
from seqlens.tasks.mark.task import MarkTask
from seqlens.tasks.tag.config import TagConfig
from seqlens.tasks.tag.task import TagTask
from seqlens.tasks.transduce.config import TransduceConfig
from seqlens.tasks.transduce.task import TransduceTask

ExampleTaskConfig = ClassifyConfig | TagConfig | MarkConfig | GenerateConfig
"""The kinds that learn from examples; all others learn from pairs."""

TaskConfig = Annotated[
    TransduceConfig | ClassifyConfig | TagConfig | MarkConfig | GenerateConfig,
    Field(discriminator="kind"),
    # The first versions knew no other kind, and their recipes need not say it.
    DefaultKind("transduce"),
]

Task = TransduceTask
"""A task that learns from pairs."""


def fit_task(config: TransduceConfig, read_pairs: Callable[[], Iterable[Pair]]) -> Task:
    """Fits what a task learns before training: its codecs."""
    return TransduceTask.fit(config, read_pairs)


def load_task(config: TransduceConfig, folder: Path) -> Task:
    """Loads a fitted task from the `codec` folder of a run."""
    return TransduceTask.load(config, folder)


def fit_example_task(config: ExampleTaskConfig, read: Callable[[], Iterable[Any]]) -> ExampleTask[Any, Any]:
    """Fits what a task learns before training: codecs, labels; `read()` gives the training examples anew."""
    match config:
        case ClassifyConfig():
            return ClassifyTask.fit(config, read)
        case GenerateConfig():
            return GenerateTask.fit(config, read)
        case MarkConfig():
            return MarkTask.fit(config, read)
        case TagConfig():
            return TagTask.fit(config, read)


def load_example_task(config: ExampleTaskConfig, folder: Path) -> ExampleTask[Any, Any]:
    """Loads a fitted task from the `codec` folder of a run."""
    match config:
        case ClassifyConfig():
            return ClassifyTask.load(config, folder)
        case GenerateConfig():
            return GenerateTask.load(config, folder)
        case MarkConfig():
            return MarkTask.load(config, folder)
        case TagConfig():
            return TagTask.load(config, folder)
