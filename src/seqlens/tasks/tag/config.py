"""Settings of the task `tag`: a text in, its entities out."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.tagged.forms import FormsConfig
from seqlens.data.tagged.words import TokenRule
from seqlens.models.tagger_config import TaggerConfig


@dataclass(frozen=True, slots=True)
class VectorsConfig:
    """Word vectors from a text file, a word and its numbers a line, as GloVe and fastText are; gzipped or not.

    Words of training have theirs to start from, and so have the first `max_words` of the file, which training need not
    have seen. A relative path is taken from the working folder.
    """

    path: str
    max_words: Annotated[int, Field(ge=0)] = 100_000


@dataclass(frozen=True, slots=True)
class TagConfig:
    """What is learnt.

    `scheme` is how the model tags the tokens of a span inside, whatever the data were written in: `bioes` tells single
    tokens and last ones from others. `tokens` is how a raw text is cut in `predict`; it should fit how the training
    data were cut. `vectors` are word vectors to start from.
    """

    kind: Literal["tag"] = "tag"
    codec: FormsConfig = field(default_factory=FormsConfig)
    model: TaggerConfig = field(default_factory=TaggerConfig)
    scheme: Literal["bio", "bioes"] = "bioes"
    tokens: TokenRule = "words"
    vectors: VectorsConfig | None = None
