"""One Transformer three times, with the same weights: ours, CTranslate2's, MarianMT's of `transformers`."""

import importlib.util
import math
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any, final

import torch
from torch import Tensor, nn

from seqlens.data.codecs.specials import NUM_SPECIALS
from seqlens.data.examples import Pair
from seqlens.data.text import END_ID, PADDING_ID, START_ID, UNKNOWN_ID, WordsConfig
from seqlens.errors import RequestError
from seqlens.models.config import TransducerConfig, TransformerDecoderConfig, TransformerEncoderConfig
from seqlens.models.transducer import Transducer
from seqlens.tasks.transduce.config import SharedCodec, TransduceConfig
from seqlens.tasks.transduce.task import TransduceTask

NEVER = (PADDING_ID, UNKNOWN_ID, START_ID, END_ID)
"""Symbols that nobody may answer with; their output bias sees to it, so that all have the same probabilities."""
_NEVER_BIAS = -1e4
SHARPNESS = 2.5
"""Standard deviation of the logits."""
FOCUS = 8.0
"""How much sharper than in a fresh model the decoder attends."""


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """Layers a side, width, inner width, heads, joint vocabulary."""

    layers: int = 3
    width: int = 256
    inner: int = 1024
    heads: int = 4
    vocabulary: int = 8000

    def __str__(self) -> str:
        return (
            f"Transformer {self.layers}+{self.layers}, width {self.width}, feed-forward {self.inner}, "
            f"{self.heads} heads, vocabulary {self.vocabulary:,}"
        )


def missing_peers() -> list[str]:
    """Those of CTranslate2 and `transformers` that are not installed."""
    return [name for name in ("ctranslate2", "transformers") if importlib.util.find_spec(name) is None]


def need_peers() -> None:
    """Checks that both are installed.

    Raises:
        RequestError: one is not; the sentence says what to install.
    """
    if missing := missing_peers():
        raise RequestError(
            f"The benchmark 'decoding' compares with {' and '.join(missing)}, not installed here: "
            f"pip install -e '.[bench]' brings them."
        )


def make_task(shape: Shape) -> TransduceTask:
    """A task over made-up words, each an id: norm after each sum, as in MarianMT, which all three can compute."""
    side = {"num_layers": shape.layers, "num_heads": shape.heads, "feed_forward_dim": shape.inner, "dropout_p": 0.0}
    model = TransducerConfig(
        embedding_dim=shape.width,
        share_embeddings=True,
        encoder=TransformerEncoderConfig(**side, norm="post"),  # type: ignore[arg-type]
        decoder=TransformerDecoderConfig(**side, norm="post"),  # type: ignore[arg-type]
        dropout_p=0.0,
    )
    codec = SharedCodec(text=WordsConfig(vocab_size=shape.vocabulary))
    words = " ".join(islice(map("".join, product(ascii_lowercase, repeat=3)), shape.vocabulary - NUM_SPECIALS))
    return TransduceTask.fit(TransduceConfig(codec=codec, model=model), lambda: [Pair(words, words)])


def make_model(task: TransduceTask) -> Transducer:
    """Random weights that make about as sharp a choice as a trained model's, by the source and the symbols before.

    So a search over it meets few ties, and answers differ.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = task.build_model()
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.02 * torch.randn_like(parameter))
        # Fresh attention is nearly a mean, the same in every step.
        for layer in _layers(model)[1]:
            layer.own_attention.query.weight.mul_(FOCUS)
            layer.memory_attention.query.weight.mul_(FOCUS)
        # With tied weights a fresh model repeats what it read last: random signs undo that.
        last = _layers(model)[1][-1].feed_forward_norm.weight
        last.copy_(SHARPNESS * torch.randn_like(last))
        model.output.bias.copy_(0.1 * torch.randn_like(model.output.bias))
        model.output.bias[list(NEVER)] = _NEVER_BIAS
    return model.eval()


def make_texts(task: TransduceTask, count: int) -> list[str]:
    """Texts of made-up words with the lengths of short sentences: 4 to 40, 14 in the middle."""
    random = torch.Generator().manual_seed(3)
    lengths = torch.randn(count, generator=random).mul(0.45).add(math.log(14)).exp().round().clamp(4, 40)
    return [
        task.source_codec.decode(
            torch.randint(NUM_SPECIALS, task.source_codec.size, (int(length),), generator=random).tolist()
        )
        for length in lengths
    ]


def token_names(vocabulary: int) -> list[str]:
    """The spelling of every id in CTranslate2's vocabulary, where they are looked up by name."""
    return [f"id{token}" for token in range(vocabulary)]


def convert_to_ctranslate2(model: Transducer, folder: Path, *, quantization: str | None) -> Path:
    """Writes the model in CTranslate2's format."""
    import ctranslate2
    from ctranslate2.specs import common_spec, transformer_spec

    encoder, decoder = _layers(model)
    heads = encoder[0].attention.num_heads
    spec: Any = transformer_spec.TransformerSpec.from_config(
        (len(encoder), len(decoder)), heads, pre_norm=encoder[0].norm == "pre", activation=common_spec.Activation.RELU
    )
    sides = ((spec.encoder, encoder, model.source_embedding), (spec.decoder, decoder, model.target_embedding))
    for side, layers, embedding in sides:
        side.scale_embeddings = True
        place = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        place.weight = _array(embedding.weight)
        side.position_encodings.encodings = _array(_positions(model, 1024))
        for target, layer in zip(side.layer, layers, strict=True):
            own = layer.own_attention if hasattr(layer, "own_attention") else layer.attention
            own_norm = layer.own_norm if hasattr(layer, "own_attention") else layer.attention_norm
            _norm(target.self_attention.layer_norm, own_norm)
            _linear(target.self_attention.linear[0], _fused(own))
            _linear(target.self_attention.linear[1], own.output)
            if hasattr(layer, "memory_attention"):
                _norm(target.attention.layer_norm, layer.memory_norm)
                _linear(target.attention.linear[0], layer.memory_attention.query)
                _linear(target.attention.linear[1], layer.memory_attention.key_value)
                _linear(target.attention.linear[2], layer.memory_attention.output)
            _norm(target.ffn.layer_norm, layer.feed_forward_norm)
            _linear(target.ffn.linear_0, layer.feed_forward.up)
            _linear(target.ffn.linear_1, layer.feed_forward.down)
    if encoder[0].norm == "pre":
        ours: tuple[Any, Any] = (model.encoder, model.decoder)
        for target, stack in zip((spec.encoder, spec.decoder), ours, strict=True):
            _norm(target.layer_norm, stack.layer.final_norm)
    _linear(spec.decoder.projection, model.output)
    names = token_names(model.output.out_features)
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.config.add_source_eos = False
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = (
        names[token] for token in (UNKNOWN_ID, START_ID, END_ID)
    )
    spec.config.decoder_start_token = names[START_ID]
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    assert ctranslate2.contains_model(str(folder))
    return folder


def _layers(model: Transducer) -> tuple[list[Any], list[Any]]:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    return list(encoder.layer.layers), list(decoder.layer.layers)


def _positions(model: Transducer, count: int) -> Tensor:
    encoder: Any = model.encoder
    table: Tensor = encoder.positions(0, count, model.output.weight)
    return table


def _fused(attention: Any) -> tuple[Tensor, Tensor]:
    query, key_value = attention.query, attention.key_value
    return torch.cat((query.weight, key_value.weight)), torch.cat((query.bias, key_value.bias))


def _array(tensor: Tensor) -> Any:
    # A copy: quantisation writes into what it is given.
    return tensor.detach().float().clone().numpy()


def _linear(spec: Any, linear: Any) -> None:
    weight, bias = (linear.weight, linear.bias) if isinstance(linear, nn.Linear) else linear
    spec.weight, spec.bias = _array(weight), _array(bias)


def _norm(spec: Any, norm: Any) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def convert_to_marian(model: Transducer, shape: Shape) -> Any:
    """MarianMT with the same weights.

    Its sinusoids stand in another order, all sines before all cosines, so every axis of the model's width is permuted.
    """
    from transformers import MarianConfig, MarianMTModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    config = MarianConfig(
        vocab_size=shape.vocabulary,
        d_model=shape.width,
        encoder_layers=shape.layers,
        decoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.inner,
        decoder_ffn_dim=shape.inner,
        activation_function="relu",
        dropout=0.0,
        scale_embedding=True,
        pad_token_id=PADDING_ID,
        eos_token_id=END_ID,
        decoder_start_token_id=START_ID,
        forced_eos_token_id=None,
        max_position_embeddings=1024,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
    )
    marian: Any = MarianMTModel(config).eval()
    order = torch.cat((torch.arange(0, shape.width, 2), torch.arange(1, shape.width, 2)))
    encoder, decoder = _layers(model)
    with torch.no_grad():
        marian.model.shared.weight.copy_(model.source_embedding.weight[:, order])
        marian.final_logits_bias.copy_(model.output.bias[None])
        for target, layer in zip(marian.model.encoder.layers, encoder, strict=True):
            _copy_attention(target.self_attn, layer.attention, order)
            _copy_norm(target.self_attn_layer_norm, layer.attention_norm, order)
            _copy_feed_forward(target, layer, order)
        for target, layer in zip(marian.model.decoder.layers, decoder, strict=True):
            _copy_attention(target.self_attn, layer.own_attention, order)
            _copy_norm(target.self_attn_layer_norm, layer.own_norm, order)
            _copy_attention(target.encoder_attn, layer.memory_attention, order)
            _copy_norm(target.encoder_attn_layer_norm, layer.memory_norm, order)
            _copy_feed_forward(target, layer, order)
    return marian


def _copy_attention(target: Any, attention: Any, order: Tensor) -> None:
    key, value = attention.key_value.weight.chunk(2)
    key_bias, value_bias = attention.key_value.bias.chunk(2)
    for linear, weight, bias in (
        (target.q_proj, attention.query.weight, attention.query.bias),
        (target.k_proj, key, key_bias),
        (target.v_proj, value, value_bias),
    ):
        linear.weight.copy_(weight[:, order])
        linear.bias.copy_(bias)
    target.out_proj.weight.copy_(attention.output.weight[order])
    target.out_proj.bias.copy_(attention.output.bias[order])


def _copy_feed_forward(target: Any, layer: Any, order: Tensor) -> None:
    target.fc1.weight.copy_(layer.feed_forward.up.weight[:, order])
    target.fc1.bias.copy_(layer.feed_forward.up.bias)
    target.fc2.weight.copy_(layer.feed_forward.down.weight[order])
    target.fc2.bias.copy_(layer.feed_forward.down.bias[order])
    _copy_norm(target.final_layer_norm, layer.feed_forward_norm, order)


def _copy_norm(target: Any, norm: Any, order: Tensor) -> None:
    target.weight.copy_(norm.weight[order])
    target.bias.copy_(norm.bias[order])
