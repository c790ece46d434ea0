"""What of train stands in another split, too, and is left out there."""

from collections.abc import Collection, Iterable, Mapping

from seqlens.data.labelled.readers import Reader
from seqlens.data.labelled.records import LabelledText
from seqlens.data.splitting import TRAIN


def without_held_out(readers: Mapping[str, Reader]) -> Reader:
    """The reader of train, without what stands in another split."""
    train = readers[TRAIN]
    others = [reader for split, reader in readers.items() if split != TRAIN]

    def read(left_out: Collection[str]) -> Iterable[LabelledText]:
        held_out = {example.text for reader in others for example in reader(())}
        return train({*left_out, *held_out})

    return read
