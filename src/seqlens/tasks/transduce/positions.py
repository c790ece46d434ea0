"""Inputs that are longer than a model's learned positions reach."""

from collections.abc import Sequence

from seqlens.data.batch import Sequences, pad
from seqlens.data.codecs.marks import BREAK, chosen_tags
from seqlens.data.text import END_ID, TextCodec


def shortened_context(ids: Sequence[int], limit: int, codec: TextCodec) -> list[int]:
    """The ids of a source less as many of its first sentences of context as make it fit, if they are enough."""
    if len(ids) <= limit or BREAK not in codec.tags:
        return list(ids)
    marks = _mark_ids(codec)
    tag = list(ids[:1]) if ids[0] in {marks[name] for name in chosen_tags(codec.tags)} else []
    rest = ids[len(tag) :]
    for place, id in enumerate(rest):
        if id == marks[BREAK] and len(ids) - (place + 1) <= limit:
            return [*tag, *rest[place + 1 :]]
    return [*tag, *without_context(rest, codec)]


def without_context(ids: Sequence[int], codec: TextCodec) -> list[int]:
    """The ids of a source after its sentences of context, and without a tag before them; all where there are none."""
    context_end = _mark_ids(codec).get(BREAK)
    last = max((place for place, id in enumerate(ids) if id == context_end), default=-1)
    return list(ids[last + 1 :])


def _mark_ids(codec: TextCodec) -> dict[str, int]:
    return dict(zip(codec.tags, range(codec.size - len(codec.tags), codec.size), strict=True))


def cut_source(source: Sequences, limit: int | None, codec: TextCodec) -> Sequences:
    """A batch of sources cut to `limit` ids, `<end>` last: context goes from its beginning, then text from its end."""
    if limit is None or source.ids.shape[1] <= limit:
        return source
    if BREAK in codec.tags:
        rows = zip(source.ids.tolist(), source.lengths.tolist(), strict=True)
        source = pad([shortened_context(row[:length], limit, codec) for row, length in rows]).to(source.ids.device)
        if source.ids.shape[1] <= limit:
            return source
    # The end stays: it stands after every source that the model has learnt from and answers.
    ids = source.ids[:, :limit].clone()
    ids[source.lengths > limit, limit - 1] = END_ID
    return Sequences(ids, source.lengths.clamp(max=limit))


def cut(sequences: Sequences, limit: int | None) -> Sequences:
    """The first `limit` ids of each; the same batch where none has more."""
    if limit is None or sequences.ids.shape[1] <= limit:
        return sequences
    return Sequences(sequences.ids[:, :limit], sequences.lengths.clamp(max=limit))
