"""What each word of a text counted for: how far the answer's log-odds fall when it is left out (occlusion).

M. Zeiler & R. Fergus (2014), section 2; J. Li et al. (2016), "Understanding neural networks through representation
erasure", for words.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.data.codecs.segmentation import split_words
from seqlens.data.text import TextCodec
from seqlens.tasks.classify.answer import TokenWeight

_ROWS_AT_ONCE = 128
_WHOLE_TOKENS = ("words", "nucleotides")


def word_groups(codec: TextCodec, kind: str, text: str) -> list[list[int]]:
    """The places of the ids that stand for each word of a text; of words and nucleotides each id is one.

    A space that is an id of its own goes with the word before it; one that begins an id, with the word behind it.
    """
    spans = codec.spans(text)
    if kind in _WHOLE_TOKENS:
        return [[place] for place in range(len(spans))]
    starts = [piece.start for piece in split_words(text) if not text[piece.start : piece.end].isspace()]
    groups: list[list[int]] = []
    last = -1
    for place, (_, end) in enumerate(spans):
        word = max(bisect_right(starts, end - 1) - 1, 0)
        if word != last:
            groups.append([])
            last = word
        groups[-1].append(place)
    return groups


def token_weights(
    judge: Callable[[Sequence[Sequence[int]]], Tensor],
    row: Sequence[int],
    label: int,
    text: str,
    spans: Sequence[tuple[int, int]],
    groups: Sequence[Sequence[int]],
) -> tuple[TokenWeight, ...]:
    """A weight for each group of places of `row`, whose ids stand for spans of the text.

    `judge` gives the logits `[rows, labels]` of rows, by which probabilities are answered.
    What the model does not read, as its positions reach no farther, has none.
    """
    # Left out rather than replaced: no id stands for "nothing", and an `<unk>` may never have been trained.
    read = [group for group in groups if group[-1] < len(row)]
    variants = [list(row)] + [[id for place, id in enumerate(row) if place not in group] for group in read]
    odds: list[float] = []
    with torch.no_grad():
        for first in range(0, len(variants), _ROWS_AT_ONCE):
            odds += log_odds(judge(variants[first : first + _ROWS_AT_ONCE]), label).tolist()
    whole, *without = odds
    found = []
    for group, one in zip(read, without, strict=True):
        start, end = spans[group[0]][0], spans[group[-1]][1]
        start += len(text[start:end]) - len(text[start:end].lstrip())
        end -= len(text[start:end]) - len(text[start:end].rstrip())
        found.append(TokenWeight(text[start:end], start, end, whole - one))
    return tuple(found)


def log_odds(logits: Float[Tensor, "rows classes"], label: int) -> Float[Tensor, " rows"]:
    """The logarithm of the label's probability over that of all others."""
    others = torch.cat((logits[:, :label], logits[:, label + 1 :]), dim=1)
    return logits[:, label] - torch.logsumexp(others, dim=1)
