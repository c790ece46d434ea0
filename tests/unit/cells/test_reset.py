"""A cell can be started afresh, whatever it had learnt."""

from typing import get_args

import pytest
import torch

from seqlens.cells import CellKind, GRUCell, build_cell


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", get_args(CellKind))
def test_reset_parameters_forgets_all(kind: CellKind, bias: bool) -> None:
    cell = build_cell(kind, 3, 4, bias=bias)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.fill_(9.0)
    torch.manual_seed(0)
    cell.reset_parameters()
    torch.manual_seed(0)
    fresh = build_cell(kind, 3, 4, bias=bias)
    for name, parameter in cell.named_parameters():
        assert torch.equal(parameter, fresh.get_parameter(name)), name


def test_the_two_grus_are_named_by_their_reset() -> None:
    for kind, reset in (("gru", "before"), ("gru_after", "after")):
        cell = build_cell(kind, 3, 4)  # type: ignore[arg-type]
        assert isinstance(cell, GRUCell)
        assert cell.reset == reset
