"""One Transformer trained twice: by seqlens, and by a plain loop over `torch.nn.Transformer` with the same weights."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from seqlens.data.batch import PairBatch
from seqlens.data.text import PADDING_ID
from seqlens.layers.multi_head import MultiHeadAttention
from seqlens.layers.positions import SinusoidalPositions
from seqlens.layers.transformer import DecoderLayer, EncoderLayer
from seqlens.models.config import TransducerConfig, TransformerDecoderConfig, TransformerEncoderConfig
from seqlens.models.decoders import SelfAttentionDecoder
from seqlens.models.encoders import SelfAttentionEncoder
from seqlens.models.transducer import Transducer, build_transducer
from seqlens.tasks.loss_sum import LossSum
from seqlens.tasks.transduce.pair_loss import shift_right
from seqlens.training.config import AdamWConfig
from seqlens.training.optimizer import Optimizer
from seqlens.training.precision import choose_precision
from seqlens.training.step import train_step

SMOOTHING = 0.1
CLIP = 1.0
LEARNING_RATE = 5e-4
BETAS = (0.9, 0.98)

Step = Callable[[PairBatch], float]
"""Trains on a batch; returns the mean loss of its tokens, smoothed."""


@final
@dataclass(frozen=True, slots=True)
class Size:
    """Layers of encoder and decoder each, widths, heads, entries of the vocabulary."""

    layers: int = 3
    dim: int = 256
    heads: int = 4
    wide: int = 1024
    vocab: int = 8000
    dropout_p: float = 0.1

    def __str__(self) -> str:
        return (
            f"{self.layers} + {self.layers} layers, width {self.dim}, feed-forward {self.wide}, {self.heads} heads, "
            f"{self.vocab:,} in the vocabulary, dropout {self.dropout_p:g}"
        )


def build_ours(size: Size) -> Transducer:
    """The model of seqlens with the weights that seed 1 gives; embeddings and output are one matrix."""
    part = {
        "num_layers": size.layers,
        "num_heads": size.heads,
        "feed_forward_dim": size.wide,
        "dropout_p": size.dropout_p,
        "attention_dropout_p": size.dropout_p,
    }
    config = TransducerConfig(
        embedding_dim=size.dim,
        encoder=TransformerEncoderConfig(**part),  # type: ignore[arg-type]
        decoder=TransformerDecoderConfig(**part),  # type: ignore[arg-type]
        dropout_p=0.0,
        share_embeddings=True,
    )
    torch.manual_seed(1)
    return build_transducer(config, source_size=size.vocab, target_size=size.vocab)


@final
class PlainTransformer(nn.Module):
    """What a person writes around `torch.nn.Transformer`: embeddings, positions, masks, the output layer."""

    def __init__(self, size: Size, ours: Transducer) -> None:
        """Takes the weights of our model."""
        super().__init__()
        self.embedding = nn.Embedding(size.vocab, size.dim)
        self.positions = SinusoidalPositions(size.dim)
        with warnings.catch_warnings():  # torch says that it cannot use nested tensors with this norm
            warnings.simplefilter("ignore")
            self.transformer = nn.Transformer(
                size.dim,
                size.heads,
                size.layers,
                size.layers,
                size.wide,
                size.dropout_p,
                batch_first=True,
                norm_first=True,
            )
        self.output = nn.Linear(size.dim, size.vocab)
        self.output.weight = self.embedding.weight
        self.dropout = nn.Dropout(size.dropout_p)
        self.scale = size.dim**0.5
        with torch.no_grad():
            self._take(ours)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        time = target.shape[1]
        later = torch.ones(time, time, dtype=torch.bool).triu(1)
        hidden: Tensor = self.transformer(
            self._embed(source),
            self._embed(target),
            tgt_mask=later,
            src_key_padding_mask=source == PADDING_ID,
            memory_key_padding_mask=source == PADDING_ID,
        )
        logits: Tensor = self.output(hidden)
        return logits

    def _embed(self, tokens: Tensor) -> Tensor:
        embedded = self.embedding(tokens) * self.scale
        dropped: Tensor = self.dropout(embedded + self.positions(0, tokens.shape[1], embedded))
        return dropped

    def _take(self, ours: Transducer) -> None:
        assert isinstance(ours.encoder, SelfAttentionEncoder)
        assert isinstance(ours.decoder, SelfAttentionDecoder)
        self.embedding.weight.copy_(ours.source_embedding.weight)
        self.output.bias.copy_(ours.output.bias)
        sides = (
            (ours.encoder.layer, self.transformer.encoder, {"attention": "self_attn"}, ("attention", "feed_forward")),
            (
                ours.decoder.layer,
                self.transformer.decoder,
                {"own_attention": "self_attn", "memory_attention": "multihead_attn"},
                ("own", "memory", "feed_forward"),
            ),
        )
        for stack, theirs, attentions, norms in sides:
            theirs.norm.load_state_dict(stack.final_norm.state_dict())
            for layer, other in zip(stack.layers, theirs.layers, strict=True):
                for mine, name in attentions.items():
                    _take_attention(getattr(layer, mine), getattr(other, name))
                assert isinstance(layer, EncoderLayer | DecoderLayer)
                other.linear1.load_state_dict(layer.feed_forward.up.state_dict())
                other.linear2.load_state_dict(layer.feed_forward.down.state_dict())
                for number, norm in enumerate(norms, start=1):
                    getattr(other, f"norm{number}").load_state_dict(getattr(layer, f"{norm}_norm").state_dict())


def _take_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    assert theirs.in_proj_weight is not None
    theirs.in_proj_weight.copy_(torch.cat((ours.query.weight, ours.key_value.weight)))
    theirs.in_proj_bias.copy_(torch.cat((ours.query.bias, ours.key_value.bias)))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


def plain_loss(model: PlainTransformer, batch: PairBatch) -> Tensor:
    """Mean over the target's tokens."""
    assert batch.target is not None
    logits = model(batch.source.ids, shift_right(batch.target.ids))
    targets = batch.target.ids.flatten()
    return nn.functional.cross_entropy(
        logits.flatten(0, 1), targets, ignore_index=PADDING_ID, label_smoothing=SMOOTHING
    )


def our_loss(model: Transducer, batch: PairBatch) -> LossSum:
    """What `TransduceTask.loss` computes for this model, without a task around it."""
    from seqlens.layers.vocabulary_loss import vocabulary_loss

    assert batch.target is not None
    output = model(batch.source.ids, batch.source.lengths, shift_right(batch.target.ids), batch.target.lengths)
    keep = batch.target.mask().flatten().nonzero()[:, 0]
    features = output.features.flatten(0, 1).index_select(0, keep)
    targets = batch.target.ids.flatten().index_select(0, keep)
    loss = vocabulary_loss(features, output.weight, output.bias, targets, label_smoothing=SMOOTHING)
    return LossSum(loss.total, len(targets), {"nll": loss.nll.item()})


def plain_step(size: Size, ours: Transducer) -> Step:
    """The plain loop in float32: CrossEntropyLoss, clipping, AdamW."""
    model = PlainTransformer(size, ours).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=0.01)

    def step(batch: PairBatch) -> float:
        optimizer.zero_grad()
        loss = plain_loss(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        return float(loss.detach())

    return step


def our_step(size: Size, precision: Literal["float32", "bfloat16"]) -> Step:
    """The step of seqlens' own training loop."""
    model = build_ours(size).train()
    optimizer = Optimizer(model, AdamWConfig(learning_rate=LEARNING_RATE, betas=BETAS, weight_decay=0.01))
    chosen = choose_precision(precision, torch.device("cpu"))

    def step(batch: PairBatch) -> float:
        result = train_step(
            model,
            [batch],
            our_loss,  # type: ignore[arg-type]
            optimizer,
            learning_rate=LEARNING_RATE,
            gradient_clip=CLIP,
            precision=chosen,
        )
        return result.total / result.count

    return step


def assert_same_start(size: Size, batches: Sequence[PairBatch], *, tolerance: float) -> float:
    """The two models have one loss before the first step, dropout off; returns the largest relative difference."""
    ours = build_ours(size).eval()
    plain = PlainTransformer(size, ours).eval()
    worst = 0.0
    with torch.no_grad():
        for batch in batches:
            mine = our_loss(ours, batch)
            theirs = float(plain_loss(plain, batch))
            worst = max(worst, abs(float(mine.total) / mine.count - theirs) / theirs)
    if not worst <= tolerance:
        raise AssertionError(f"the losses before training differ by {worst:.2e}, expected at most {tolerance:.0e}")
    return worst
