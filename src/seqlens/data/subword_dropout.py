"""Training pairs whose words are cut another way in each epoch: BPE dropout on both sides."""

from collections.abc import Callable
from random import Random
from typing import final

import numpy as np
from jaxtyping import Int64

from seqlens.data.batch import PairBatch, pad
from seqlens.data.codecs.bpe_dropout import BpeDropout
from seqlens.data.codecs.subwords import SubwordsCodec
from seqlens.data.encoded import EncodedPairs
from seqlens.data.text import TextCodec
from seqlens.errors import RequestError


@final
class SubwordDropout:
    """Makes the batches of pairs with their words cut at random; no text is needed, only the ids.

    How the words of a pair are cut is decided by the seed, the epoch and the pair's place in the corpus alone, so it
    does not depend on the batch, nor on what was made before. The `<end>` stays. A row that would become longer than
    `max_length` is left as it was.
    """

    def __init__(
        self, source: BpeDropout | None, target: BpeDropout | None, *, seed: int, max_length: int | None = None
    ) -> None:
        """Takes what cuts each side; None leaves that side alone."""
        self._source = source
        self._target = target
        self._seed = seed
        self._max_length = max_length

    def batch(self, pairs: EncodedPairs, indices: Int64[np.ndarray, "batch"], epoch: int) -> PairBatch:
        """Pads the pairs at `indices`, as `EncodedPairs.batch` does, with their words cut for this epoch."""
        sources, targets = [], []
        for index in indices.tolist():
            # A text seeds all of it (by SHA-512), a number only a part; and `random()` is the same in every Python.
            draw = Random(f"subword dropout {self._seed} {epoch} {pairs.rows[index]}").random
            sources.append(self._cut(self._source, pairs.source(index), draw))
            if pairs.has_targets:
                targets.append(self._cut(self._target, pairs.target(index), draw))
        return PairBatch(pad(sources), pad(targets) if pairs.has_targets else None, tuple(indices.tolist()))

    def _cut(
        self, dropout: BpeDropout | None, row: Int64[np.ndarray, "time"], draw: Callable[[], float]
    ) -> Int64[np.ndarray, "time"] | list[int]:
        if dropout is None:
            return row
        ids = dropout.cut(row, draw)
        return row if self._max_length is not None and len(ids) > self._max_length else ids


def build_subword_dropout(
    source: TextCodec, target: TextCodec, *, dropout_p: float, seed: int, max_length: int | None
) -> SubwordDropout | None:
    """Returns what cuts the training pairs of these codecs, or None where `dropout_p` is 0.

    Of two codecs, one that has learnt no merges is left alone.

    Raises:
        RequestError: neither codec has learnt merges.
    """
    if not dropout_p:
        return None
    sides = [
        codec.dropout(dropout_p) if isinstance(codec, SubwordsCodec) else None
        for codec in ((source,) if source is target else (source, target))
    ]
    if all(side is None for side in sides):
        raise RequestError(
            f"'batches.subword_dropout_p' is {dropout_p}, but no codec of this task has merges to pass over, expected "
            "0, or a codec of 'kind: subwords' with 'algorithm: bpe'."
        )
    return SubwordDropout(sides[0], sides[-1], seed=seed, max_length=max_length)
