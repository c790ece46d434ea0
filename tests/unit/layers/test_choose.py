"""Which executor runs is a function of its arguments, and says why."""

from dataclasses import replace

import pytest
import torch

from seqlens.cells import CellKind, build_cell
from seqlens.layers.executors.choose import Circumstances, choose_executor

READING = Circumstances(grad=False, batch_size=1)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("rnn", READING, "fused"),
        ("rnn", replace(READING, grad=True), "generic"),
        ("rnn", replace(READING, batch_size=64), "generic"),
        ("rnn", replace(READING, batch_size=None), "generic"),
        ("rnn", replace(READING, whole=False), "generic"),
        ("rnn", replace(READING, dtype=torch.float64), "generic"),
        ("gru_after", READING, "fused"),
        ("gru", READING, "generic"),
        ("lstm", READING, "fused"),
        ("lstm", replace(READING, grad=True, batch_size=64), "fused"),
        ("min_gru", READING, "scan"),
        ("min_lstm", READING, "scan"),
    ],
)
def test_reading_a_few_sequences_is_left_to_torch_where_it_has_the_layer(
    kind: CellKind, given: Circumstances, expected: str
) -> None:
    assert choose_executor("auto", build_cell(kind, 128, 128), given).name == expected


def test_the_weights_of_a_large_gru_are_not_turned_for_a_few_steps() -> None:
    assert choose_executor("auto", build_cell("gru_after", 8, 256), READING).name == "fused"
    assert choose_executor("auto", build_cell("gru_after", 8, 512), READING).name == "generic"
