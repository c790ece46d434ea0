"""Settings of the models, as they stand in a recipe; modules themselves take flat arguments and never see these."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

Positive = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
CellName = Literal["rnn", "lstm", "gru", "gru_after"]
ScoreName = Literal["dot", "scaled_dot", "bilinear", "additive"]


@dataclass(frozen=True, slots=True)
class RecurrentEncoderConfig:
    """Layers of one cell; `gru` resets before the recurrent product, `gru_after` after it."""

    kind: Literal["recurrent"] = "recurrent"
    cell: CellName = "gru"
    hidden_dim: Positive = 256
    num_layers: Positive = 1
    bidirectional: bool = True
    dropout_p: Probability = 0.0


@dataclass(frozen=True, slots=True)
class TransformerEncoderConfig:
    """Self-attention layers; `feed_forward_dim` is four times the embedding's size where it is null."""

    kind: Literal["transformer"] = "transformer"
    num_layers: Positive = 3
    num_heads: Positive = 4
    feed_forward_dim: Positive | None = None
    dropout_p: Probability = 0.1
    attention_dropout_p: Probability = 0.0
    norm: Literal["pre", "post"] = "pre"
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    max_length: Positive = 1024


@dataclass(frozen=True, slots=True)
class RecurrentDecoderConfig:
    """A recurrent decoder; without `attention` the whole source must pass through one vector: the bottleneck.

    `input_feeding` gives each step what the last one attended to (Luong et al. 2015, section 3.3).
    """

    kind: Literal["recurrent"] = "recurrent"
    cell: CellName = "gru"
    hidden_dim: Positive = 256
    num_layers: Positive = 1
    attention: ScoreName | None = "additive"
    input_feeding: bool = False
    dropout_p: Probability = 0.0


@dataclass(frozen=True, slots=True)
class TransformerDecoderConfig:
    """Causal self-attention and attention over the source."""

    kind: Literal["transformer"] = "transformer"
    num_layers: Positive = 3
    num_heads: Positive = 4
    feed_forward_dim: Positive | None = None
    dropout_p: Probability = 0.1
    attention_dropout_p: Probability = 0.0
    norm: Literal["pre", "post"] = "pre"
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    max_length: Positive = 1024


EncoderConfig = Annotated[RecurrentEncoderConfig | TransformerEncoderConfig, Field(discriminator="kind")]
DecoderConfig = Annotated[RecurrentDecoderConfig | TransformerDecoderConfig, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class TransducerConfig:
    """An encoder and a decoder, any with any.

    `tie_output`: the output layer's weight is the target embedding's. `share_embeddings`: source and target have
    one embedding, which needs one vocabulary for both.
    """

    embedding_dim: Positive = 256
    encoder: EncoderConfig = field(default_factory=RecurrentEncoderConfig)
    decoder: DecoderConfig = field(default_factory=RecurrentDecoderConfig)
    dropout_p: Probability = 0.1
    tie_output: bool = True
    share_embeddings: bool = False
