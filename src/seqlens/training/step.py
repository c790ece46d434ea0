"""One update of the weights."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqlens.tasks.loss_sum import LossSum
from seqlens.training.group import ALONE, Group
from seqlens.training.optimizer import Optimizer
from seqlens.training.precision import Precision


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one update saw."""

    total: float
    """The loss, summed."""
    count: int
    """The terms in that sum (tokens, labels)."""
    parts: dict[str, float]
    """Further sums over the same terms."""
    gradient_norm: float
    """Of the gradient of the mean loss over all weights together, before clipping."""
    updated: bool
    """False where the loss or the gradient is not finite or nothing counted: the weights are then as before."""


def train_step(
    model: nn.Module,
    batches: Iterable[Any],
    compute_loss: Callable[[nn.Module, Any], LossSum],
    optimizer: Optimizer,
    *,
    learning_rate: float,
    gradient_clip: float | None,
    precision: Precision,
    group: Group = ALONE,
) -> StepResult:
    """Updates the weights once by the mean loss over all `batches` of all processes of `group`, as if they were one.

    Each batch's loss *sum* is differentiated, and the gradients are divided by the common count afterwards, so
    batches of unequal counts weigh as much as they have terms. The gradients stay until the next step.
    """
    optimizer.clear_gradients()
    totals: list[Tensor] = []
    count = 0
    parts: dict[str, float] = {}
    for batch in batches:
        with precision.autocast():
            loss = compute_loss(model, batch)
        if loss.total.requires_grad:  # a batch in which nothing counts may have a constant loss
            loss.total.backward()
        totals.append(loss.total.detach())
        count += loss.count
        for name, value in loss.parts.items():
            parts[name] = parts.get(name, 0.0) + value

    total = sum(float(part) for part in totals)  # only here does a GPU have to be waited for
    if group.size > 1:
        total, count, parts = _add_up(optimizer, group, total, count, parts)
    gradients = optimizer.gradients()
    norm_of_sum = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
    norm = norm_of_sum / max(count, 1)
    updated = count > 0 and math.isfinite(norm) and math.isfinite(total)
    if updated:
        clipping = gradient_clip / norm if gradient_clip is not None and norm > gradient_clip else 1.0
        if gradients:
            torch._foreach_mul_(gradients, clipping / count)
        optimizer.step(learning_rate)
    return StepResult(total, count, parts, norm, updated)


def _add_up(
    optimizer: Optimizer, group: Group, total: float, count: int, parts: Mapping[str, float]
) -> tuple[float, int, dict[str, float]]:
    """Adds up what all processes of the group found, gradients in place."""
    exists = torch.tensor([float(has) for has in optimizer.has_gradient()], dtype=torch.float64)
    names = sorted(parts)
    sums = torch.tensor([total, count, *(parts[name] for name in names)], dtype=torch.float64)
    group.add_up([exists, sums])
    # A process may have had no row of a small batch. A weight that none used keeps no gradient, so that it is not
    # decayed either.
    group.add_up(optimizer.gradients_where(exists.tolist()))
    total, whole, *found = sums.tolist()
    return total, round(whole), dict(zip(names, found, strict=True))
