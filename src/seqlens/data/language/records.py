"""What a reader of plain text yields."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from seqlens.data.examples import Place


@dataclass(frozen=True, slots=True)
class Document:
    """A text: a whole one, or a block of a running text, which does not end where the block does.

    `continues` says that it goes on from the document before it.
    """

    text: str
    place: Place | None = None
    continues: bool = False
    ends: bool = True


def fingerprint_documents(documents: Iterable[Document]) -> str:
    """The SHA-256 of the texts, each after its length in bytes; where a running text is cut does not matter."""
    digest = hashlib.sha256()
    running: list[str] = []

    def add() -> None:
        data = "".join(running).encode()
        digest.update(len(data).to_bytes(8, "little") + data)

    for document in documents:
        if running and not document.continues:
            add()
            running.clear()
        running.append(document.text)
    if running:
        add()
    return digest.hexdigest()
