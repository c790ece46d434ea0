"""What the text codecs have in common: a vocabulary, a normaliser, a fingerprint."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlens.data.codecs.normalisation import Normaliser
from seqlens.data.codecs.specials import NUM_SPECIALS, SPECIAL_NAMES, UNKNOWN_ID
from seqlens.data.codecs.storage import fingerprint_of, write_codec


class VocabularyCodec(ABC):
    """A `TextCodec` over a fixed list of pieces, whose ids follow the special ones."""

    def __init__(self, content: Mapping[str, Any], shown: Sequence[str], normaliser: Normaliser) -> None:
        """Takes all that decides what the codec does, as JSON values, and how each piece is shown."""
        self._content = {**content, "normalisation": normaliser.form, "lowercase": normaliser.lowercase}
        self._shown = (*SPECIAL_NAMES, *shown)
        self._normaliser = normaliser
        self._fingerprint = fingerprint_of(self._content)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text, with no start and no end; no id but `<unk>` is a special one."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of any ids, also of such as no text has.

        Padding, start and end are skipped; the unknown id, and ids outside the vocabulary, are shown as
        `<unk>`.
        """

    @abstractmethod
    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns, for each id of `encode(text)`, the span `(start, end)` of `text` that it stands for."""

    @property
    def size(self) -> int:
        """The number of ids, the four special ones included."""
        return len(self._shown)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that decides what the codec does."""
        return self._fingerprint

    def normalise(self, text: str) -> str:
        """Returns the text as the codec sees it."""
        return self._normaliser.apply(text)

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Returns the ids of each text."""
        return [self.encode(text) for text in texts]

    def token(self, id: int) -> str:
        """Returns how an id is shown to a person; this is not the text it stands for.

        Raises:
            IndexError: there is no such id.
        """
        if not 0 <= id < self.size:
            raise IndexError(f"There is no id {id}: the vocabulary's ids are 0 to {self.size - 1}.")
        return self._shown[id]

    def tokens(self, text: str) -> list[str]:
        """Returns how the ids of a text are shown to a person."""
        return [self._shown[id] for id in self.encode(text)]

    def save(self, folder: Path) -> None:
        """Writes the codec as JSON into a folder, from which `load_codec` makes it again.

        Raises:
            WorkError: the file could not be written.
        """
        write_codec(folder, self._content)

    def _decodable(self, ids: Iterable[int]) -> Iterator[int]:
        """Yields the ids that have a text: those of pieces, and the unknown id."""
        for id in ids:
            if NUM_SPECIALS <= id < self.size:
                yield id
            elif id == UNKNOWN_ID or not 0 <= id < NUM_SPECIALS:
                yield UNKNOWN_ID
