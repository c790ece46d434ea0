"""Which executor runs is a function of its arguments, and says why."""

import pytest
import torch

from seqlens.cells import CellKind, build_cell
from seqlens.layers.executors.choose import Circumstances, choose_executor

READING = Circumstances(grad=False, batch_size=1, time=64)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("rnn", READING, "fused"),
        ("rnn", READING._replace(grad=True), "generic"),
        ("rnn", READING._replace(batch_size=64), "generic"),
        ("rnn", READING._replace(batch_size=None), "generic"),
        ("rnn", READING._replace(whole=False), "generic"),
        ("rnn", READING._replace(dtype=torch.float64), "generic"),
        ("gru_after", READING, "fused"),
        ("gru", READING, "generic"),
        ("lstm", READING, "fused"),
        ("lstm", READING._replace(grad=True, batch_size=64), "fused"),
        ("min_gru", READING, "scan"),
        ("min_lstm", READING, "scan"),
    ],
)
def test_reading_a_few_sequences_is_left_to_torch_where_it_has_the_layer(
    kind: CellKind, given: Circumstances, expected: str
) -> None:
    assert choose_executor("auto", build_cell(kind, 128, 128), given).name == expected


def test_the_weights_of_a_large_gru_are_not_turned_for_a_few_steps() -> None:
    large, few = build_cell("gru_after", 8, 512), READING._replace(time=8)
    assert choose_executor("auto", large, READING).name == "fused"
    assert choose_executor("auto", large, few).name == "generic"
    assert choose_executor("auto", build_cell("rnn", 8, 512), few).name == "fused"
