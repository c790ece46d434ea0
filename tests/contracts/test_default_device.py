"""Layers stay where their weights are, whatever device torch makes new tensors on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from seqlens.layers import GRU, LSTM, CausalTransformer, LinearChainCRF, MinGRU, TransformerEncoder

LENGTHS = torch.tensor([3, 5, 1])
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "gru": lambda: GRU(4, 4, dropout_p=0.3, num_layers=2),
    "lstm, both directions": lambda: LSTM(4, 4, bidirectional=True),
    "scan": lambda: MinGRU(4, 4),
    "encoder": lambda: TransformerEncoder(4, num_layers=1, num_heads=2, dropout_p=0.3),
    "language model": lambda: CausalTransformer(4, num_layers=1, num_heads=2, dropout_p=0.3),
}


def outputs_of(layer: nn.Module, inputs: Tensor) -> Tensor:
    found = layer(inputs, LENGTHS)
    return found if isinstance(found, Tensor) else found[0]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_does_not_ask_for_the_default_device(kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]().train()
    inputs = torch.randn(3, 5, 4)
    torch.manual_seed(1)
    expected = outputs_of(layer, inputs)
    torch.manual_seed(1)
    with torch.device("meta"):
        found = outputs_of(layer, inputs)
        found.sum().backward()
    assert torch.equal(found, expected)
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_a_crf_does_not_either() -> None:
    crf, emissions, tags = LinearChainCRF(4), torch.randn(3, 5, 4), torch.zeros(3, 5, dtype=torch.int64)
    expected = crf(emissions, LENGTHS, tags)
    with torch.device("meta"):
        assert torch.equal(crf(emissions, LENGTHS, tags), expected)
