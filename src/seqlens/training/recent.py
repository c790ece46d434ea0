"""The loss over the last steps: what the log and the progress line show."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, final

from seqlens.training.step import StepResult


@final
class RecentSteps:
    """Remembers the last `length` steps, and their loss per term over all of them together."""

    def __init__(self, length: int) -> None:
        self._steps: deque[StepResult] = deque(maxlen=length)

    def append(self, result: StepResult) -> None:
        """Takes in a step, and forgets the oldest if there are too many."""
        self._steps.append(result)

    @property
    def loss(self) -> float:
        """The summed loss divided by the summed counts (0 where nothing counted)."""
        return self._per_term([result.total for result in self._steps])

    @property
    def parts(self) -> dict[str, float]:
        """The further sums, each divided by the summed counts."""
        names = sorted({name for result in self._steps for name in result.parts})
        return {name: self._per_term([result.parts.get(name, 0.0) for result in self._steps]) for name in names}

    @property
    def largest_gradient_norm(self) -> float:
        """The largest finite gradient norm."""
        return max((r.gradient_norm for r in self._steps if math.isfinite(r.gradient_norm)), default=0.0)

    def state_dict(self) -> dict[str, Any]:
        """Returns the steps as JSON values."""
        rows = []
        for result in self._steps:
            norm = result.gradient_norm if math.isfinite(result.gradient_norm) else None
            rows.append([result.total, result.count, result.parts, norm, result.updated])
        return {"steps": rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self._steps.clear()
        for total, count, parts, norm, updated in state["steps"]:
            self._steps.append(StepResult(total, count, parts, math.inf if norm is None else norm, updated))

    def _per_term(self, sums: list[float]) -> float:
        return math.fsum(sums) / max(1, sum(result.count for result in self._steps))
