"""Inputs that are longer than a model's learned positions reach."""

from collections.abc import Sequence

from seqlens.data.batch import Sequences, pad
from seqlens.data.codecs.marks import BREAK, chosen_tags
from seqlens.data.text import TextCodec


def shortened_context(ids: Sequence[int], limit: int, codec: TextCodec) -> list[int]:
    """The ids of a source less as many of its first sentences of context as make it fit, if they are enough."""
    if len(ids) <= limit or BREAK not in codec.tags:
        return list(ids)
    mark_ids = dict(zip(codec.tags, range(codec.size - len(codec.tags), codec.size), strict=True))
    tag = list(ids[:1]) if ids[0] in {mark_ids[name] for name in chosen_tags(codec.tags)} else []
    rest = ids[len(tag) :]
    for place, id in enumerate(rest):
        if id == mark_ids[BREAK] and len(ids) - (place + 1) <= limit:
            return [*tag, *rest[place + 1 :]]
    last = max((place for place, id in enumerate(rest) if id == mark_ids[BREAK]), default=-1)
    return [*tag, *rest[last + 1 :]]


def cut_source(source: Sequences, limit: int | None, codec: TextCodec) -> Sequences:
    """A batch of sources cut to `limit` ids: context goes from its beginning, then the text from its end."""
    if limit is None or source.ids.shape[1] <= limit:
        return source
    if BREAK in codec.tags:
        rows = zip(source.ids.tolist(), source.lengths.tolist(), strict=True)
        source = pad([shortened_context(row[:length], limit, codec) for row, length in rows]).to(source.ids.device)
    return cut(source, limit)


def cut(sequences: Sequences, limit: int | None) -> Sequences:
    """The first `limit` ids of each; the same batch where none has more."""
    if limit is None or sequences.ids.shape[1] <= limit:
        return sequences
    return Sequences(sequences.ids[:, :limit], sequences.lengths.clamp(max=limit))
