import json
import math

import pytest

from seqlens.training.recent import RecentSteps
from seqlens.training.step import StepResult


def result(total: float, count: int, *, norm: float = 1.0, parts: dict[str, float] | None = None) -> StepResult:
    return StepResult(total, count, parts or {}, norm, True)


def test_the_loss_is_that_of_all_terms_together() -> None:
    recent = RecentSteps(2)
    assert recent.loss == 0.0
    recent.append(result(100.0, 1))
    recent.append(result(2.0, 1, parts={"z": 4.0}))
    recent.append(result(4.0, 5, parts={"z": 2.0, "a": 6.0}))
    assert recent.loss == 1.0  # six over six; not the mean of 2.0 and 0.8, and the oldest is forgotten
    assert list(recent.parts.items()) == [("a", 1.0), ("z", 1.0)]


def test_the_largest_norm_leaves_out_what_is_not_finite() -> None:
    recent = RecentSteps(3)
    for norm in (2.0, math.inf, 7.0):
        recent.append(result(1.0, 1, norm=norm))
    assert recent.largest_gradient_norm == 7.0


def test_it_goes_on_from_its_state_through_json() -> None:
    recent, resumed = RecentSteps(3), RecentSteps(3)
    for total, norm in ((0.1, 1.0), (0.2, math.inf), (0.7, 3.0)):
        recent.append(result(total, 3, norm=norm, parts={"z": total}))
    resumed.load_state_dict(json.loads(json.dumps(recent.state_dict(), allow_nan=False)))
    for one in (recent, resumed):
        one.append(result(1 / 3, 1))
    assert resumed.loss == recent.loss
    assert resumed.parts == recent.parts
    assert resumed.largest_gradient_norm == recent.largest_gradient_norm == pytest.approx(3.0)
