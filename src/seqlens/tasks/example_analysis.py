"""What a task has to say of its answers beside their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, final, runtime_checkable

from seqlens.report import Section, Table

Example = TypeVar("Example", contravariant=True)
Answer = TypeVar("Answer", contravariant=True)


@final
@dataclass(frozen=True, slots=True)
class ExampleAnalysis:
    """Tables for the terminal, the sections of a page, and sentences that a person must not miss."""

    tables: tuple[Table, ...]
    sections: tuple[Section, ...]
    remarks: tuple[str, ...] = ()


@runtime_checkable
class AnalysingTask(Protocol[Example, Answer]):
    """A task that looks at its answers: optional beside `ExampleTask`."""

    def analyse(self, examples: Sequence[Example], answers: Sequence[Answer]) -> ExampleAnalysis:
        """Looks at answers, in the order of their examples."""
