"""Settings of the classifier, as they stand in a recipe."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.models.config import EncoderConfig, Positive, Probability, RecurrentEncoderConfig

PoolingName = Literal["summary", "last", "mean", "max", "attention"]


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """Embeddings, an encoder, one vector out of its steps, a layer over the classes.

    `pooling`: `summary` (the last state of each direction; a Transformer's mean), `last`, `mean`, `max`, or
    `attention`, which weighs the steps. `token_dropout_p`: in training tokens become `<unk>` with this probability
    (word dropout, Iyyer et al. 2015). `dropout_p` is on embeddings and on the vector that is judged.
    """

    embedding_dim: Positive = 128
    encoder: EncoderConfig = field(default_factory=RecurrentEncoderConfig)
    pooling: PoolingName = "summary"
    dropout_p: Probability = 0.3
    token_dropout_p: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
