"""Multi-head attention and the Transformer against torch's own, with converted weights: outputs and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqlens.layers import MultiHeadAttention, TransformerDecoder, TransformerEncoder, length_mask
from seqlens.testing import assert_same_function

DIM, HEADS, WIDE, LAYERS = 8, 2, 12, 2

each_norm = pytest.mark.parametrize("norm", ["pre", "post"])


def random_tensor(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_weights(module: nn.Module) -> None:
    """Not torch's own start, whose zero biases would hide a bias taken for another."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.4)


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    """torch stacks query, key and value, or keeps three weights where the memory has another size."""
    if theirs.in_proj_weight is not None:
        query, key, value = theirs.in_proj_weight.chunk(3)
    else:
        query, key, value = theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight
    query_bias, *key_value_bias = theirs.in_proj_bias.chunk(3)
    ours.query.weight.copy_(query)
    ours.query.bias.copy_(query_bias)
    ours.key_value.weight.copy_(torch.cat((key, value)))
    ours.key_value.bias.copy_(torch.cat(key_value_bias))
    ours.output.load_state_dict(theirs.out_proj.state_dict())


@pytest.mark.parametrize("memory_dim", [None, 5])
@pytest.mark.parametrize("lengths", [None, [3, 1, 4]], ids=str)
def test_multi_head_attention(memory_dim: int | None, lengths: list[int] | None) -> None:
    theirs = nn.MultiheadAttention(DIM, HEADS, kdim=memory_dim, vdim=memory_dim, batch_first=True).double()
    ours = MultiHeadAttention(DIM, HEADS, memory_dim=memory_dim).double()
    random_weights(theirs)
    with torch.no_grad():
        copy_attention(ours, theirs)
    given = None if lengths is None else torch.tensor(lengths)
    padding = None if given is None else ~length_mask(given, 4)

    def run_ours(queries: Tensor, memory: Tensor) -> object:
        ready = ours.prepare(memory, given)
        return ours(queries, ready), ours.weights(queries, ready)

    def run_torch(queries: Tensor, memory: Tensor) -> object:
        return theirs(queries, memory, memory, key_padding_mask=padding, average_attn_weights=False)

    assert_same_function(run_ours, run_torch, random_tensor(3, 2, DIM), random_tensor(3, 4, memory_dim or DIM, seed=2))


def test_causal_multi_head_attention() -> None:
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).double()
    ours = MultiHeadAttention(DIM, HEADS).double()
    random_weights(theirs)
    with torch.no_grad():
        copy_attention(ours, theirs)
    lengths = torch.tensor([5, 2, 3])
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)

    def run_ours(inputs: Tensor) -> object:
        return ours(inputs, ours.prepare(inputs, lengths), causal=True)

    def run_torch(inputs: Tensor) -> object:
        return theirs(inputs, inputs, inputs, key_padding_mask=~length_mask(lengths, 5), attn_mask=later)[0]

    assert_same_function(run_ours, run_torch, random_tensor(3, 5, DIM))


def copy_common(ours: Any, theirs: Any) -> None:
    ours.feed_forward.up.load_state_dict(theirs.linear1.state_dict())
    ours.feed_forward.down.load_state_dict(theirs.linear2.state_dict())


def torch_arguments(norm: str) -> dict[str, Any]:
    return {"dim_feedforward": WIDE, "dropout": 0.1, "batch_first": True, "norm_first": norm == "pre"}


def our_arguments(norm: Any) -> dict[str, Any]:
    return {"num_layers": LAYERS, "num_heads": HEADS, "feed_forward_dim": WIDE, "dropout_p": 0.1, "norm": norm}


@each_norm
@pytest.mark.parametrize("lengths", [None, [4, 1, 3]], ids=str)
def test_encoder(norm: str, lengths: list[int] | None) -> None:
    last = nn.LayerNorm(DIM) if norm == "pre" else None
    layer = nn.TransformerEncoderLayer(DIM, HEADS, **torch_arguments(norm))
    theirs = nn.TransformerEncoder(layer, LAYERS, norm=last, enable_nested_tensor=False).double()
    random_weights(theirs)
    ours = TransformerEncoder(DIM, **our_arguments(norm)).double()
    with torch.no_grad():
        for mine, other in zip(ours.layers, theirs.layers, strict=True):
            copy_attention(mine.attention, other.self_attn)
            copy_common(mine, other)
            mine.attention_norm.load_state_dict(other.norm1.state_dict())
            mine.feed_forward_norm.load_state_dict(other.norm2.state_dict())
        if last is not None:
            ours.final_norm.load_state_dict(theirs.norm.state_dict())
    given = None if lengths is None else torch.tensor(lengths)
    mask = None if given is None else length_mask(given, 4)

    def run_torch(inputs: Tensor) -> Tensor:
        outputs = theirs(inputs, src_key_padding_mask=None if mask is None else ~mask)
        return outputs if mask is None else outputs * mask[:, :, None]

    theirs.eval()
    assert_same_function(lambda inputs: ours.eval()(inputs, given), run_torch, random_tensor(3, 4, DIM))


@each_norm
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_decoder(norm: str, ragged: bool) -> None:
    last = nn.LayerNorm(DIM) if norm == "pre" else None
    layer = nn.TransformerDecoderLayer(DIM, HEADS, **torch_arguments(norm))
    theirs = nn.TransformerDecoder(layer, LAYERS, norm=last).double()
    random_weights(theirs)
    ours = TransformerDecoder(DIM, **our_arguments(norm)).double()
    with torch.no_grad():
        for mine, other in zip(ours.layers, theirs.layers, strict=True):
            copy_attention(mine.own_attention, other.self_attn)
            copy_attention(mine.memory_attention, other.multihead_attn)
            copy_common(mine, other)
            mine.own_norm.load_state_dict(other.norm1.state_dict())
            mine.memory_norm.load_state_dict(other.norm2.state_dict())
            mine.feed_forward_norm.load_state_dict(other.norm3.state_dict())
        if last is not None:
            ours.final_norm.load_state_dict(theirs.norm.state_dict())
    lengths = torch.tensor([3, 1, 2]) if ragged else None
    memory_lengths = torch.tensor([5, 2, 4]) if ragged else None
    mask = length_mask(torch.tensor([3, 1, 2]), 3) if ragged else torch.ones(3, 3, dtype=torch.bool)
    later = torch.ones(3, 3, dtype=torch.bool).triu(1)

    def run_ours(inputs: Tensor, memory: Tensor) -> Tensor:
        return ours.eval()(inputs, memory, lengths=lengths, memory_lengths=memory_lengths)

    def run_torch(inputs: Tensor, memory: Tensor) -> Tensor:
        outputs = theirs(
            inputs,
            memory,
            tgt_mask=later,
            tgt_is_causal=True,
            tgt_key_padding_mask=~mask,
            memory_key_padding_mask=None if memory_lengths is None else ~length_mask(memory_lengths, 5),
        )
        return outputs * mask[:, :, None]

    theirs.eval()
    assert_same_function(run_ours, run_torch, random_tensor(3, 3, DIM), random_tensor(3, 5, DIM, seed=2))
