"""Text to ids and back: the codec protocol, the special ids, and which codec a config asks for."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from seqlens.data.codecs.characters import CharactersCodec, CharactersConfig
from seqlens.data.codecs.marks import MarkedText, noting_tags
from seqlens.data.codecs.normalisation import Normalisation
from seqlens.data.codecs.nucleotides import NucleotidesCodec, NucleotidesConfig
from seqlens.data.codecs.specials import END_ID, PADDING_ID, SPECIAL_NAMES, START_ID, UNKNOWN_ID, UnknownPiece
from seqlens.data.codecs.storage import read_codec
from seqlens.data.codecs.subwords import SubwordsCodec, SubwordsConfig
from seqlens.data.codecs.words import WordsCodec, WordsConfig

__all__ = [
    "END_ID",
    "PADDING_ID",
    "SPECIAL_NAMES",
    "START_ID",
    "UNKNOWN_ID",
    "CharactersCodec",
    "CharactersConfig",
    "MarkedText",
    "Normalisation",
    "NucleotidesCodec",
    "NucleotidesConfig",
    "SubwordsCodec",
    "SubwordsConfig",
    "TextCodec",
    "TextCodecConfig",
    "UnknownPiece",
    "WordsCodec",
    "WordsConfig",
    "fit_codec",
    "load_codec",
]

TextCodecConfig = WordsConfig | CharactersConfig | SubwordsConfig | NucleotidesConfig


@runtime_checkable
class TextCodec(Protocol):
    """One side of a pair: text to ids and back.

    `decode(encode(text)) == normalise(text)` for every text of which nothing is unknown. A joint vocabulary
    is one codec fitted on the texts of both sides and used for both.
    """

    @property
    def size(self) -> int:
        """The number of ids, the four special ones and the tags included."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags that a `MarkedText` may have."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that decides what the codec does: equal codecs have equal fingerprints."""

    def normalise(self, text: str) -> str:
        """Returns the text as the codec sees it."""

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text, with no start and no end; no id but `<unk>` is a special one."""

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Returns the ids of each text."""

    def decode(self, ids: Sequence[int], unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns the text of any ids, also of such as no text has.

        Padding, start, end and tags are skipped; the unknown id, and ids outside the vocabulary, are shown as
        `<unk>`, but for ids `size + k`, which stand for `unknown[k]`.
        """

    def unknown_pieces(self, text: str) -> list[UnknownPiece]:
        """Returns the pieces of a text for which `encode` gives the unknown id, in their order."""

    def token(self, id: int, unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns how an id is shown to a person; raises an IndexError where there is no such id."""

    def tokens(self, text: str) -> list[str]:
        """Returns how the ids of a text are shown to a person."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns, for each id of `encode(text)`, the span `(start, end)` of `text` that it stands for."""

    def symbols(self) -> tuple[tuple[str, Any], ...]:
        """Returns what each id stands for, as its kind and its content: equal in two codecs for the same thing."""

    def extended(self, config: Any, texts: Iterable[str]) -> "TextCodec":
        """Returns this codec with what is new in the texts; what it knew has the same symbols, not the same ids."""

    def save(self, folder: Path) -> None:
        """Writes the codec as JSON into a folder; raises a WorkError if that fails."""


def fit_codec(config: TextCodecConfig, texts: Iterable[str]) -> TextCodec:
    """Fits a codec on texts, which are read once and not kept. Tags of marked texts have an id each, beyond the others.

    Raises:
        RequestError: a setting is out of its range, there is no text, or nothing is seen often enough.
    """
    if isinstance(texts, str):
        raise TypeError("`texts` is one text, expected several: it would be read as one text per character.")
    tags: set[str] = set()
    texts = noting_tags(texts, tags)
    match config:
        case WordsConfig():
            return WordsCodec.fit(config, texts).with_tags(sorted(tags))
        case CharactersConfig():
            return CharactersCodec.fit(config, texts).with_tags(sorted(tags))
        case SubwordsConfig():
            return SubwordsCodec.fit(config, texts).with_tags(sorted(tags))
        case NucleotidesConfig():
            return NucleotidesCodec.fit(config, texts).with_tags(sorted(tags))


def load_codec(folder: Path) -> TextCodec:
    """Makes a codec of what `TextCodec.save` wrote into a folder.

    Raises:
        WorkError: the file is missing or damaged; the sentence names it and says what is wrong.
    """
    stored = read_codec(folder)
    tags = stored.names("tags")
    match stored.get("kind", str):
        case "words":
            return WordsCodec.restore(stored).with_tags(tags)
        case "characters":
            return CharactersCodec.restore(stored).with_tags(tags)
        case "subwords":
            return SubwordsCodec.restore(stored).with_tags(tags)
        case "nucleotides":
            return NucleotidesCodec.restore(stored).with_tags(tags)
        case other:
            raise stored.fault(f"'kind' is '{other}', expected 'words', 'characters', 'subwords' or 'nucleotides'")
