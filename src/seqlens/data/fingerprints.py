"""One number for what a split says: equal for equal records in equal order, whatever file they were read
from.

Each side has its own SHA-256, over every text's length in bytes (8 bytes, little end first; 2^64 - 1 for a
missing text) followed by its UTF-8 bytes; that of the records is taken over both. So a data set in several
languages needs one number a language, not one a direction. Before a marked text come, each in that form, its tag and
the sentences of its context, and before them their number.
"""

from collections.abc import Iterable
from hashlib import sha256

from seqlens.data.codecs.marks import MarkedText
from seqlens.data.examples import Pair

_MISSING = (2**64 - 1).to_bytes(8, "little")


def fingerprint_sides(pairs: Iterable[Pair]) -> tuple[str, str]:
    """Returns the fingerprint of the sources and that of the targets, 64 hexadecimal digits each."""
    sources, targets = sha256(), sha256()
    for pair in pairs:
        if isinstance(pair.source, MarkedText):
            sources.update(_framed_marks(pair.source))
        sources.update(_framed(pair.source))
        targets.update(_framed(pair.target))
    return sources.hexdigest(), targets.hexdigest()


def combine_fingerprints(source: str, target: str) -> str:
    """Returns the fingerprint of records whose sides have these two."""
    return sha256(f"{source} {target}".encode()).hexdigest()


def fingerprint_pairs(pairs: Iterable[Pair]) -> str:
    """Returns the fingerprint of records, 64 hexadecimal digits."""
    return combine_fingerprints(*fingerprint_sides(pairs))


def _framed_marks(text: MarkedText) -> bytes:
    marks = (text.tag, *text.context)
    # No text has so many bytes, so marks cannot be taken for a text.
    return (2**64 - 1 - len(marks)).to_bytes(8, "little") + b"".join(_framed(mark) for mark in marks)


def _framed(text: str | None) -> bytes:
    if text is None:
        return _MISSING
    encoded = text.encode("utf-8")
    return len(encoded).to_bytes(8, "little") + encoded
