"""The one interface of metrics that compare texts."""

from collections.abc import Sequence
from typing import Protocol

from seqlens.metrics.references import References
from seqlens.metrics.score import Score
from seqlens.metrics.sufficient import Statistics


class TextMetric(Protocol):
    """A metric of texts against references, filled batch by batch."""

    def add(self, hypotheses: Sequence[str], references: References) -> None:
        """Adds examples; raises RequestError if the two sides do not fit."""
        ...

    def statistics(self) -> Statistics:
        """What was added, in the form that `paired_bootstrap` compares."""
        ...

    def compute(self) -> Score:
        """The score of all examples so far (RequestError if there are none); more may be added afterwards."""
        ...
