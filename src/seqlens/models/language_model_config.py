"""Settings of the language model, as they stand in a recipe."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.cells import CellKind
from seqlens.models.config import PositionName, Positive, Probability, TransformerLayersConfig


@dataclass(frozen=True, slots=True)
class RecurrentLayersConfig:
    """Layers of one cell, read in one direction. `dropout_p` is between layers."""

    kind: Literal["recurrent"] = "recurrent"
    cell: CellKind = "lstm"
    hidden_dim: Positive = 256
    num_layers: Positive = 1
    dropout_p: Probability = 0.0


@dataclass(frozen=True, slots=True)
class CausalLayersConfig(TransformerLayersConfig):
    """Causal self-attention layers over the embeddings; positions as in a Transformer encoder.

    With `window` a token sees so many tokens before it, and a text of any length can be gone on from: that needs
    `positions: rotary`, which know only distances. Running text needs a window.
    """

    positions: PositionName = "rotary"
    window: Positive | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.positions != "rotary":
            raise ValueError(
                f"'window' lets a text go on for any length, which needs 'positions: rotary', but it is "
                f"'{self.positions}'"
            )


LayersConfig = Annotated[RecurrentLayersConfig | CausalLayersConfig, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class LanguageModelConfig:
    """Embeddings, layers, and the output layer, whose weight is that of the embeddings with `tie_output`.

    Where tied layers are of another size than the embeddings, a linear layer stands between. `dropout_p` is on
    embeddings and on what the output layer reads.
    """

    embedding_dim: Positive = 128
    layers: LayersConfig = field(default_factory=RecurrentLayersConfig)
    dropout_p: Probability = 0.1
    tie_output: bool = True
