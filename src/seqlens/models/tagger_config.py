"""Settings of the tagger, as they stand in a recipe."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.cells import CellKind
from seqlens.models.config import EncoderConfig, Positive, Probability, RecurrentEncoderConfig


@dataclass(frozen=True, slots=True)
class RecurrentLettersConfig:
    """The last states of a layer that reads a word's letters both ways (Lample et al. 2016)."""

    kind: Literal["recurrent"] = "recurrent"
    embedding_dim: Positive = 25
    cell: CellKind = "lstm"
    hidden_dim: Positive = 25


@dataclass(frozen=True, slots=True)
class ConvolutionLettersConfig:
    """The largest answer of filters over `width` letters (Ma & Hovy 2016)."""

    kind: Literal["convolution"] = "convolution"
    embedding_dim: Positive = 30
    width: Annotated[int, Field(ge=1, le=15)] = 3
    num_filters: Positive = 50


LettersConfig = Annotated[RecurrentLettersConfig | ConvolutionLettersConfig, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class TaggerConfig:
    """What stands for a word (its own embedding, its letters, its features), an encoder, a CRF over the tags.

    `letters: null` leaves the letters out. `feature_dim` entries for each affix and the shape; 0 leaves them out.
    `encoder_input_dim`: a layer that brings a word to this size first, which a Transformer needs; null = none.
    `repeats: true` tells each token, after the encoder, what the other tokens of the same word in the text were read
    as, so that an abbreviation is known wherever it stands once one place tells it; see `RepeatedWords`.
    `crf: false` takes every tag by itself, though never one that must not follow the last.

    In training a word that was seen `n` times becomes unknown with probability `word_dropout / (word_dropout + n)`
    (Kiperwasser & Goldberg 2016), so that the unknown word's embedding is learned. `dropout_p` is on words and on what
    the encoder gives.
    """

    embedding_dim: Positive = 100
    letters: LettersConfig | None = field(default_factory=RecurrentLettersConfig)
    feature_dim: Annotated[int, Field(ge=0)] = 0
    encoder_input_dim: Positive | None = None
    encoder: EncoderConfig = field(default_factory=RecurrentEncoderConfig)
    repeats: bool = False
    crf: bool = True
    word_dropout: Annotated[float, Field(ge=0.0)] = 0.25
    dropout_p: Probability = 0.5
