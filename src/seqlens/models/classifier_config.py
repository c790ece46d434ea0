"""Settings of the classifier, as they stand in a recipe."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.models.config import EncoderConfig, Positive, Probability, RecurrentEncoderConfig

PoolingName = Literal["summary", "last", "mean", "max", "attention", "combined", "positions", "frames"]


@dataclass(frozen=True, slots=True)
class LetterGramsConfig:
    """N-grams of a word's letters, of `shortest` to `longest` ones, beginning and end marked (Bojanowski et al. 2017).

    Each is one of `num_buckets` by a hash; some share one.
    """

    shortest: Annotated[int, Field(ge=1, le=8)] = 3
    longest: Annotated[int, Field(ge=1, le=8)] = 5
    num_buckets: Positive = 16384

    def __post_init__(self) -> None:
        if self.shortest > self.longest:
            raise ValueError(f"'shortest' is {self.shortest}, expected at most 'longest', which is {self.longest}")


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """Embeddings, an encoder, one vector out of its steps, a layer over the classes.

    `pooling`: `summary` (the last state of each direction; a Transformer's mean), `last`, `mean`, `max`, `attention`,
    which weighs the steps, `combined` (maximum, mean and weighed steps side by side), `positions`, which keeps the
    first `num_positions` steps apart: for windows in which each place has its own meaning; longer inputs are cut there;
    or `frames`: the same, and beside it which words of three bases each reading frame has, for windows of DNA that may
    be coding.

    `token_dropout_p`: in training tokens become `<unk>` with this probability (word dropout, Iyyer et al. 2015).
    `dropout_p` is on embeddings and on the vector that is judged.

    `embedding_std`: how far entries of a fresh embedding lie from 0, `embedding_dim ** -0.5` where it is null. Small
    ones leave a rare word to what it learns; large ones are what a plain recurrent net needs to begin to learn.

    `letter_grams`: to a word's embedding the mean of those of its letter n-grams is added, also where the word itself
    is unknown or was dropped: `unwatchable` is read by what it shares with words that training has.

    `members`: so many nets are trained side by side, each with weights of its own, and their probabilities averaged;
    that takes so many times as long.
    """

    embedding_dim: Positive = 128
    encoder: EncoderConfig = field(default_factory=RecurrentEncoderConfig)
    pooling: PoolingName = "summary"
    dropout_p: Probability = 0.3
    token_dropout_p: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    embedding_std: Annotated[float, Field(gt=0.0)] | None = None
    num_positions: Positive | None = None
    letter_grams: LetterGramsConfig | None = None
    members: Positive = 1

    def __post_init__(self) -> None:
        if (self.pooling in ("positions", "frames")) != (self.num_positions is not None):
            raise ValueError(
                f"'pooling' is '{self.pooling}' and 'num_positions' {self.num_positions}, expected a number for "
                "'positions' and 'frames' and for no other"
            )
