"""A corpus of examples: what the tasks `classify`, `tag`, `mark` and `generate` learn from."""

from collections.abc import Iterator
from typing import Protocol, TypeVar, runtime_checkable

Example_co = TypeVar("Example_co", covariant=True)


@runtime_checkable
class ExampleCorpus(Protocol[Example_co]):
    """Named splits of records; `train` and `validation` are there for training, further ones for scores."""

    @property
    def name(self) -> str:
        """What the corpus is called in messages and records."""

    @property
    def noun(self) -> tuple[str, str]:
        """What one record is called, and several: `("sentence", "sentences")`."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""

    def read(self, split: str) -> Iterator[Example_co]:
        """Yields the records of a split.

        Raises:
            RequestError: there is no such split, or a file says something that it must not.
        """

    def fingerprint(self, split: str) -> str:
        """The SHA-256 of the decoded records of a split, whatever file they were read from."""
