"""Settings of the models, as they stand in a recipe; modules themselves take flat arguments and never see these."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.cells import CellKind
from seqlens.layers import NormPlace, PositionKind
from seqlens.layers.options import BlockOptions

Positive = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
AttentionName = Literal["dot", "scaled_dot", "bilinear", "additive", "multi_head"]
PositionName = Literal["sinusoidal", "learned", "rotary"]


@dataclass(frozen=True, slots=True)
class RecurrentEncoderConfig:
    """Layers of one cell; `gru` resets before the recurrent product, `gru_after` after it."""

    kind: Literal["recurrent"] = "recurrent"
    cell: CellKind = "gru"
    hidden_dim: Positive = 256
    num_layers: Positive = 1
    bidirectional: bool = True
    dropout_p: Probability = 0.0


@dataclass(frozen=True, slots=True)
class TransformerLayersConfig:
    """What Transformer layers of every use have; `feed_forward_dim` is four times the embedding's size where null.

    `sinusoidal` and `learned` positions are added to the embeddings; `rotary` ones turn queries and keys instead, so
    that a score knows only how far apart two tokens are (Su et al. 2021). `max_length` bounds learned ones.

    `dropout_p` is on what each part of a layer adds, in an encoder or decoder also on the inputs with their positions;
    `attention_dropout_p` on attention weights; `activation_dropout_p` on the middle of the feed-forward, as `dropout_p`
    where it is null.
    """

    kind: Literal["transformer"] = "transformer"
    num_layers: Positive = 3
    num_heads: Positive = 4
    feed_forward_dim: Positive | None = None
    dropout_p: Probability = 0.1
    attention_dropout_p: Probability = 0.0
    activation_dropout_p: Probability | None = None
    norm: NormPlace = "pre"
    """`pre` norms what each part of a layer reads; `post` the sum of that and what the part makes of it, as the first
    Transformer did, and attention then begins with smaller weights."""
    positions: PositionName = "sinusoidal"
    max_length: Positive = 1024

    @property
    def added_positions(self) -> PositionKind | None:
        """Those that are added to the embeddings; None where the layers have rotary ones."""
        return None if self.positions == "rotary" else self.positions

    def options(self) -> BlockOptions:
        """What every stack of such layers takes, beside the number of layers."""
        return {
            "num_heads": self.num_heads,
            "feed_forward_dim": self.feed_forward_dim,
            "dropout_p": self.dropout_p,
            "attention_dropout_p": self.attention_dropout_p,
            "activation_dropout_p": self.activation_dropout_p,
            "norm": self.norm,
            "rotary": self.positions == "rotary",
        }


@dataclass(frozen=True, slots=True)
class TransformerEncoderConfig(TransformerLayersConfig):
    """Self-attention layers, each position seeing all."""


@dataclass(frozen=True, slots=True)
class RecurrentDecoderConfig:
    """A recurrent decoder; without `attention` the whole source must pass through one vector: the bottleneck.

    `input_feeding` gives each step what the last one attended to (Luong et al. 2015, section 3.3); without attention
    there is nothing to feed. `num_heads` is for the attention `multi_head`. `coverage` tells the additive score how
    much attention each source token got before, so that none is left out or read twice (Tu et al. 2016; See et al.
    2017, section 2.3).
    """

    kind: Literal["recurrent"] = "recurrent"
    cell: CellKind = "gru"
    hidden_dim: Positive = 256
    num_layers: Positive = 1
    attention: AttentionName | None = "additive"
    num_heads: Positive = 4
    coverage: bool = False
    input_feeding: bool = False
    dropout_p: Probability = 0.0

    def __post_init__(self) -> None:
        if self.coverage and self.attention != "additive":
            found = "null" if self.attention is None else f"'{self.attention}'"
            raise ValueError(f"'coverage' needs 'attention: additive', whose input it is, but 'attention' is {found}")


@dataclass(frozen=True, slots=True)
class TransformerDecoderConfig(TransformerLayersConfig):
    """Causal self-attention and attention over the source."""


@dataclass(frozen=True, slots=True)
class ConvolutionalEncoderConfig:
    """A convolution over `first_kernel` steps into `channels`, then a gated one of `kernel` steps for each dilation.

    For short sequences in which what counts is near: splice sites, promoters. Kernels have a middle, so they are odd.
    """

    kind: Literal["convolutional"] = "convolutional"
    channels: Positive = 64
    first_kernel: Positive = 7
    kernel: Positive = 7
    dilations: tuple[Positive, ...] = (1, 1)
    dropout_p: Probability = 0.0

    def __post_init__(self) -> None:
        for name, kernel in (("first_kernel", self.first_kernel), ("kernel", self.kernel)):
            if kernel % 2 == 0:
                raise ValueError(f"'{name}' is {kernel}, expected an odd number, so that it has a middle")


EncoderConfig = Annotated[
    RecurrentEncoderConfig | TransformerEncoderConfig | ConvolutionalEncoderConfig, Field(discriminator="kind")
]
DecoderConfig = Annotated[RecurrentDecoderConfig | TransformerDecoderConfig, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class TransducerConfig:
    """An encoder and a decoder, any with any.

    `tie_output`: the output layer's weight is the target embedding's. `share_embeddings`: source and target have
    one embedding, which needs one vocabulary for both. `copy`: a word can be copied from the source instead of being
    taken from the vocabulary, also one that the vocabulary lacks (See et al. 2017, section 2.2); that too needs one
    vocabulary, and a decoder that attends.

    `dropout_p` is on the embeddings. A Transformer drops them itself, with their positions: beside one, 0 is right.
    """

    embedding_dim: Positive = 256
    encoder: EncoderConfig = field(default_factory=RecurrentEncoderConfig)
    decoder: DecoderConfig = field(default_factory=RecurrentDecoderConfig)
    dropout_p: Probability = 0.1
    tie_output: bool = True
    share_embeddings: bool = False
    copy: bool = False

    def __post_init__(self) -> None:
        for name, part in (("encoder", self.encoder), ("decoder", self.decoder)):
            if isinstance(part, TransformerEncoderConfig | TransformerDecoderConfig):
                _check_heads(name, part.num_heads, "embedding_dim", self.embedding_dim, part.positions == "rotary")
        if not isinstance(self.decoder, RecurrentDecoderConfig):
            return
        if self.decoder.attention == "multi_head":
            _check_heads("decoder", self.decoder.num_heads, "decoder.hidden_dim", self.decoder.hidden_dim, False)
        attention, own = self.decoder.attention, self.decoder.hidden_dim
        if self.copy and attention is None:
            raise ValueError("'copy' points by attention at what is copied, but 'decoder.attention' is null")
        if attention in ("dot", "scaled_dot") and own != self.memory_dim:
            raise ValueError(
                f"'decoder.attention: {attention}' multiplies what encoder and decoder give, so both must be of one "
                f"size, but the encoder gives {self.memory_dim} entries a token and 'decoder.hidden_dim' is {own}; "
                f"make that {self.memory_dim}, or take 'bilinear', which fits any sizes"
            )

    @property
    def memory_dim(self) -> int:
        """Entries that the encoder gives for each token; both directions stand side by side."""
        if isinstance(self.encoder, TransformerEncoderConfig):
            return self.embedding_dim
        if isinstance(self.encoder, ConvolutionalEncoderConfig):
            return self.encoder.channels
        return self.encoder.hidden_dim * (2 if self.encoder.bidirectional else 1)


def _check_heads(part: str, num_heads: int, name: str, dim: int, rotary: bool) -> None:
    """Raises a ValueError where heads do not divide a size, or into parts that rotary positions cannot turn."""
    if dim % num_heads:
        raise ValueError(f"'{part}.num_heads' is {num_heads}, expected a divisor of '{name}', which is {dim}")
    if rotary and (dim // num_heads) % 2:
        raise ValueError(
            f"'{part}.positions: rotary' turns the entries of a head in pairs, but with '{name}' {dim} and "
            f"'{part}.num_heads' {num_heads} a head has {dim // num_heads}"
        )
