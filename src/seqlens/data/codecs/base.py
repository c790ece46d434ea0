"""What the text codecs have in common: a vocabulary, a normaliser, a fingerprint."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar, final

from seqlens.data.codecs.marks import BREAK, MarkedText, unknown_tag
from seqlens.data.codecs.normalisation import Normaliser
from seqlens.data.codecs.specials import NUM_SPECIALS, SPECIAL_NAMES, UNKNOWN_ID, UnknownPiece, visible
from seqlens.data.codecs.storage import fingerprint_of, write_codec
from seqlens.errors import RequestError

Codec = TypeVar("Codec", bound="VocabularyCodec")


class VocabularyCodec(ABC):
    """A `TextCodec` over a fixed list of pieces, whose ids follow the special ones; those of tags come last."""

    def __init__(self, content: Mapping[str, Any], shown: Sequence[str], normaliser: Normaliser) -> None:
        """Takes all that decides what the codec does, as JSON values, and how each piece is shown."""
        self._content = {**content, "normalisation": normaliser.form, "lowercase": normaliser.lowercase}
        self._shown = (*SPECIAL_NAMES, *shown)
        self._normaliser = normaliser
        self._fingerprint = fingerprint_of(self._content)
        self._num_pieces = len(self._shown)
        self._tag_ids: dict[str, int] = {}

    @abstractmethod
    def _encode_plain(self, text: str) -> list[int]:
        """Returns the ids of a text without marks."""

    @abstractmethod
    def decode(self, ids: Sequence[int], unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns the text of any ids, also of such as no text has.

        Padding, start, end and tags are skipped; the unknown id, and ids outside the vocabulary, are shown as
        `<unk>`, but for ids `size + k`, which stand for `unknown[k]`.
        """

    @abstractmethod
    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns, for each id of `encode(text)`, the span `(start, end)` of `text` that it stands for."""

    @property
    def size(self) -> int:
        """The number of ids, the four special ones and the tags included."""
        return len(self._shown)

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags, in the order of their ids."""
        return tuple(self._tag_ids)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that decides what the codec does."""
        return self._fingerprint

    def normalise(self, text: str) -> str:
        """Returns the text as the codec sees it."""
        return self._normaliser.apply(text)

    @final
    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text, with no start and no end; no id but `<unk>` is a special one.

        Those of a `MarkedText` begin with its tag and its context.

        Raises:
            RequestError: the vocabulary has not the tag.
        """
        if not isinstance(text, MarkedText):
            return self._encode_plain(text)
        ids = [] if text.tag is None else [self._tag_id(text.tag)]
        for sentence in text.context:
            ids += self._encode_plain(sentence)
            ids.append(self._tag_id(BREAK))
        return ids + self._encode_plain(text)

    def with_tags(self: Codec, tags: Iterable[str]) -> Codec:
        """Returns this codec with these tags besides its own, their ids after all others."""
        names = [*self._tag_ids, *(tag for tag in tags if tag not in self._tag_ids)]
        tagged = copy(self)
        tagged._tag_ids = {name: id for id, name in enumerate(names, self._num_pieces)}
        tagged._shown = (*self._shown[: self._num_pieces], *(f"<{name}>" for name in names))
        # A codec without tags is what it was before there were any.
        tagged._content = {**self._content, "tags": names} if names else self._content
        tagged._fingerprint = fingerprint_of(tagged._content)
        return tagged

    def symbols(self) -> tuple[tuple[str, Any], ...]:
        """Returns what each id stands for, as its kind and its content: equal in two codecs for the same thing."""
        specials = [("special", name) for name in SPECIAL_NAMES]
        return (*specials, *self._piece_symbols(), *(("tag", name) for name in self._tag_ids))

    @abstractmethod
    def _piece_symbols(self) -> list[tuple[str, Any]]:
        """Returns the symbols of the ids between the special ones and the tags."""

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Returns the ids of each text."""
        return [self.encode(text) for text in texts]

    def unknown_pieces(self, text: str) -> list[UnknownPiece]:
        """Returns the pieces of a text for which `encode` gives the unknown id, in their order."""
        sentences = (*text.context, text) if isinstance(text, MarkedText) else (text,)
        return [piece for sentence in sentences for piece in self._unknown_plain(sentence)]

    @abstractmethod
    def _unknown_plain(self, text: str) -> list[UnknownPiece]:
        """Returns the unknown pieces of a text without marks."""

    def token(self, id: int, unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns how an id is shown to a person; this is not the text it stands for.

        Ids `size + k` stand for `unknown[k]`.

        Raises:
            IndexError: there is no such id.
        """
        if self.size <= id < self.size + len(unknown):
            return visible(unknown[id - self.size].text)
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

    def _decodable(self, ids: Iterable[int], num_unknown: int = 0) -> Iterator[int]:
        """Yields the ids that have a text: those of pieces, of so many unknown ones, and the unknown id."""
        for id in ids:
            if NUM_SPECIALS <= id < self._num_pieces or self.size <= id < self.size + num_unknown:
                yield id
            elif id == UNKNOWN_ID or not 0 <= id < self.size:
                yield UNKNOWN_ID

    def _tag_id(self, name: str) -> int:
        try:
            return self._tag_ids[name]
        except KeyError:
            raise RequestError(unknown_tag(name, self.tags)) from None
