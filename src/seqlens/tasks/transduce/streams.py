"""Random draws that belong to a text, wherever it stands among others."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from seqlens.data.codecs.marks import MarkedText


def draw_streams(texts: Sequence[str], seen: Counter[str] | None = None) -> list[int]:
    """For each text the number that its draws come from: of the text, and of which of several equal ones it is.

    So what is drawn for a text depends neither on its place nor on the batch it is answered in. `seen` counts the texts
    of earlier calls, and these are added to it.
    """
    seen = Counter() if seen is None else seen
    streams = []
    for text in texts:
        marked = "\0".join((text.tag or "", *text.context, text)) if isinstance(text, MarkedText) else str(text)
        digest = hashlib.blake2b(f"{seen[marked]} {marked}".encode(errors="surrogatepass"), digest_size=8).digest()
        streams.append(int.from_bytes(digest, "big"))
        seen[marked] += 1
    return streams
