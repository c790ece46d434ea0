"""Texts are encoded part by part, and most parts are words that were met before."""

from collections.abc import Callable
from typing import final

_MAX_PARTS = 100_000
_MAX_PART_LENGTH = 64


def split_parts(text: str) -> list[str]:
    """Cuts a text at its single spaces, if it has no others: none at an end, and no two together.

    What stands between two single spaces can be cut further without regard to the rest of the text.
    """
    parts = text.split(" ")
    return parts if all(parts) else [text]


@final
class PartEncoder:
    """Encodes texts by a function of their parts, whose results it keeps for a while."""

    def __init__(self, encode_part: Callable[[str], list[int]]) -> None:
        self._encode_part = encode_part
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Returns the ids of all parts of a text."""
        ids: list[int] = []
        known = self._known
        for part in split_parts(text):
            found = known.get(part)
            ids.extend(self._learn(part) if found is None else found)
        return ids

    def _learn(self, part: str) -> list[int]:
        ids = self._encode_part(part)
        if len(part) <= _MAX_PART_LENGTH:
            if len(self._known) >= _MAX_PARTS:
                self._known.clear()
            self._known[part] = ids
        return ids
