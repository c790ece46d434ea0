"""A Transformer encoder made for search: the function of `TransformerEncoder` without dropout, in fewer operations.

One product gives query, key and value, and weights are packed once instead of cast for every batch.
"""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.fast_products import Products, RowProduct
from seqlens.layers.masks import length_mask, zero_padding
from seqlens.layers.multi_head import self_projection
from seqlens.layers.positions import rotate
from seqlens.layers.transformer import EncoderLayer, TransformerEncoder


class _Layer(NamedTuple):
    """One layer's weights; queries are scaled already."""

    query_key_value: RowProduct
    output: RowProduct
    feed_forward: RowProduct
    attention_norm: nn.LayerNorm
    feed_forward_norm: nn.LayerNorm


def has_fast_form(encoder: TransformerEncoder) -> bool:
    """Whether every layer is one that `FastEncoder` computes."""
    return all(
        isinstance(layer, EncoderLayer) and layer.attention.window is None and layer.attention.relative is None
        for layer in encoder.layers
    )


@final
class FastEncoder:
    """The weights of a `TransformerEncoder` that `has_fast_form`, as they are now."""

    def __init__(self, encoder: TransformerEncoder, products: Products) -> None:
        layers = [layer for layer in encoder.layers if isinstance(layer, EncoderLayer)]
        self.pre = layers[0].norm == "pre"
        self.heads = layers[0].attention.num_heads
        self.rotary = layers[0].attention.rotary
        self.dtype = products.dtype
        self.final_norm = encoder.final_norm
        with torch.no_grad():
            self.layers = [_copy_layer(layer, products) for layer in layers]

    def __call__(
        self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time dim"]:
        """Runs whole sequences; padding is never seen, outputs there are zero."""
        mask = length_mask(lengths, inputs.shape[1], inputs.device)
        if not mask.numel():
            return inputs
        # A softmax over nothing is NaN; rows without anything are zeroed at the end.
        visible = None if bool(mask.all()) else (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]
        hidden = zero_padding(inputs, mask).flatten(0, 1)
        for layer in self.layers:
            normed = layer.attention_norm(hidden) if self.pre else hidden
            attended = self._attend(layer.query_key_value(normed).view(*mask.shape, -1), visible)
            hidden = hidden + layer.output(attended)
            hidden = hidden if self.pre else layer.attention_norm(hidden)
            normed = layer.feed_forward_norm(hidden) if self.pre else hidden
            hidden = hidden + layer.feed_forward(normed)
            hidden = hidden if self.pre else layer.feed_forward_norm(hidden)
        return zero_padding(self.final_norm(hidden).view(inputs.shape), mask)

    def _attend(self, projected: Tensor, visible: Tensor | None) -> Tensor:
        query, key, value = projected.to(self.dtype).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary:
            query, key = rotate(query, 0), rotate(key, 0)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=visible, scale=1.0)
        return mixed.transpose(1, 2).flatten(2).flatten(0, 1)


def _copy_layer(layer: EncoderLayer, products: Products) -> _Layer:
    return _Layer(
        query_key_value=products.linear(*self_projection(layer.attention)),
        output=products.linear(layer.attention.output.weight, layer.attention.output.bias),
        feed_forward=products.feed_forward(
            layer.feed_forward, layer.feed_forward_norm if layer.norm == "pre" else layer.attention_norm
        ),
        attention_norm=layer.attention_norm,
        feed_forward_norm=layer.feed_forward_norm,
    )
