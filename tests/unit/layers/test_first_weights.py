"""How large the first weights of a Transformer's attention are, by where its norms stand."""

import math
from typing import Literal

import pytest
import torch

from seqlens.layers import CausalTransformer, TransformerDecoder, TransformerEncoder
from seqlens.layers.multi_head import MultiHeadAttention

DIM = 64


@pytest.mark.parametrize(("norm", "gain"), [("pre", 1.0), ("post", 0.5)])
def test_attention_begins_smaller_where_norms_come_after_the_sums(norm: Literal["pre", "post"], gain: float) -> None:
    torch.manual_seed(0)
    bound = math.sqrt(6 / (2 * DIM))
    for stack in (
        TransformerEncoder(DIM, num_layers=2, norm=norm),
        TransformerDecoder(DIM, num_layers=2, norm=norm),
        CausalTransformer(DIM, num_layers=2, norm=norm),
    ):
        attentions = [module for module in stack.modules() if isinstance(module, MultiHeadAttention)]
        assert len(attentions) >= 2
        for attention in attentions:
            for weight in (attention.query.weight, *attention.key_value.weight.chunk(2)):
                assert 0.95 * gain * bound < float(weight.detach().abs().max()) <= 1.001 * gain * bound
            assert float(attention.output.weight.detach().abs().max()) > 0.95 * bound
