"""The characters codec: one id per character."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from seqlens.data.codecs.base import VocabularyCodec
from seqlens.data.codecs.marks import noting_tags
from seqlens.data.codecs.normalisation import Normalisation, Normaliser
from seqlens.data.codecs.specials import NUM_SPECIALS, SPECIAL_NAMES, UNKNOWN_ID, UnknownPiece, visible
from seqlens.data.codecs.storage import StoredCodec
from seqlens.data.codecs.vocabulary import check_found, check_sizes, most_frequent


@final
@dataclass(frozen=True, slots=True)
class CharactersConfig:
    """Characters seen fewer than `min_count` times have no id."""

    kind: Literal["characters"] = "characters"
    min_count: int = 1
    normalisation: Normalisation = "nfc"
    lowercase: bool = False


@final
class CharactersCodec(VocabularyCodec):
    """A `TextCodec` with one id for each character seen when it was fitted, and `<unk>` for each other one.

    A character is one Unicode codepoint after normalisation: a flag, a family emoji, or a letter with an
    accent that has no joined form is several. Every text of seen characters comes back exactly as it was
    normalised.
    """

    def __init__(self, characters: Sequence[str], normaliser: Normaliser) -> None:
        content = {"kind": "characters", "characters": list(characters)}
        super().__init__(content, [visible(character) for character in characters], normaliser)
        self._texts = (*SPECIAL_NAMES, *characters)
        self._ids = {character: id for id, character in enumerate(characters, NUM_SPECIALS)}

    @classmethod
    def fit(cls, config: CharactersConfig, texts: Iterable[str]) -> "CharactersCodec":
        """Fits a codec on texts, which are read once. The most frequent character has the lowest id.

        Raises:
            RequestError: a setting is out of its range, there is no text, or nothing is seen `min_count`
            times.
        """
        normaliser, counts, characters = _frequent(config, texts)
        check_found("characters", counts, characters, config.min_count)
        return cls(characters, normaliser)

    def extended(self, config: CharactersConfig, texts: Iterable[str]) -> "CharactersCodec":
        """Returns this codec with the characters and tags besides that are frequent in the texts, if there are any."""
        tags: set[str] = set()
        _, _, frequent = _frequent(config, noting_tags(texts, tags))
        known = self._texts[NUM_SPECIALS:]
        new = [character for character in frequent if character not in self._ids]
        return CharactersCodec((*known, *new), self._normaliser).with_tags([*self.tags, *sorted(tags)])

    @classmethod
    def restore(cls, stored: StoredCodec) -> "CharactersCodec":
        """Makes a codec of what `save` wrote.

        Raises:
            WorkError: the content is damaged.
        """
        return cls(stored.characters("characters"), stored.normaliser())

    def _encode_plain(self, text: str) -> list[int]:
        """Returns one id per character of the normalised text."""
        ids = self._ids
        return [ids.get(character, UNKNOWN_ID) for character in self._normaliser.apply(text)]

    def decode(self, ids: Sequence[int], unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns the characters of any ids; see `VocabularyCodec.decode`."""
        return "".join(
            [
                self._texts[id] if id < self._num_pieces else unknown[id - self.size].text
                for id in self._decodable(ids, len(unknown))
            ]
        )

    def _unknown_plain(self, text: str) -> list[UnknownPiece]:
        return [UnknownPiece(character) for character in self._normaliser.apply(text) if character not in self._ids]

    def _piece_symbols(self) -> list[tuple[str, Any]]:
        return [("character", character) for character in self._texts[NUM_SPECIALS:]]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns where in `text` each id comes from; characters normalised together have one span."""
        return self._normaliser.align(text)[1]


def _frequent(config: CharactersConfig, texts: Iterable[str]) -> tuple[Normaliser, Counter[str], list[str]]:
    """How texts are normalised, how often each character is in them, and those that are there often enough."""
    check_sizes("characters", min_count=config.min_count)
    normaliser = Normaliser(config.normalisation, config.lowercase)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normaliser.apply(text))
    return normaliser, counts, most_frequent(counts, min_count=config.min_count)
