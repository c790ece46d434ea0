"""Bits per character and perplexity, of any system that gives each token a probability."""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlens.data.text import TextCodec
from seqlens.metrics import Perplexity, Statistics
from seqlens.metrics.sufficient import ratio_of_totals
from seqlens.tasks.generate.datasets import TextSize

# 256 bytes and an end: an unknown piece is spelled out by a uniform code over these.
_BYTE_NATS = math.log(257)


class TextScore(NamedTuple):
    """What a system thinks of a text: the natural log-probability of each token, what was predicted beside its size."""

    log_probs: Sequence[float]
    size: TextSize

    @property
    def nats(self) -> float:
        """The whole text's negative log-probability, unknown pieces spelled out."""
        return self.size.unknown_nats - sum(self.log_probs)


def size_of(codec: TextCodec, text: str, *, ended: bool) -> TextSize:
    """Characters of the text as the codec sees it, and one more for the end where that is predicted, as a line break.

    `<unk>` says that a piece is unknown, not which one. So each is charged for its UTF-8 bytes and an end, of 257
    equally likely ones: only then is the probability one of the text, and comparable between vocabularies.
    """
    unknown = sum(len(piece.text.encode()) + 1 for piece in codec.unknown_pieces(text))
    return TextSize(len(codec.normalise(text)) + ended, unknown * _BYTE_NATS)


def text_measures(scores: Sequence[TextScore], texts: Sequence[str]) -> dict[str, Statistics]:
    """Bits per character, which compare across vocabularies, and perplexity per token, which do not."""
    bits = np.array([score.nats / math.log(2) for score in scores])
    characters = np.array([score.size.characters for score in scores], dtype=np.float64)
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    per_character = Statistics(
        name="bits per character",
        per_example=np.stack([bits, characters], axis=1),
        score_totals=ratio_of_totals,
        signature="base:2|mean:characters|unknown:bytes",
        references_id=digest.hexdigest(),
        decimals=3,
    )
    perplexity = Perplexity()
    # A document without a token has no perplexity of its own, but may not be left out of a paired test.
    perplexity.add([-sum(score.log_probs) for score in scores], [max(len(score.log_probs), 1) for score in scores])
    return {"bits_per_character": per_character, "perplexity": perplexity.statistics()}
