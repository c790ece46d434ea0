"""The nucleotides codec: one id for each letter of DNA, the same in every run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from seqlens.data.codecs.base import VocabularyCodec
from seqlens.data.codecs.marks import noting_tags
from seqlens.data.codecs.normalisation import Normaliser
from seqlens.data.codecs.specials import NUM_SPECIALS, SPECIAL_NAMES, UnknownPiece
from seqlens.data.codecs.storage import StoredCodec
from seqlens.data.dna.letters import LETTERS
from seqlens.errors import RequestError


@final
@dataclass(frozen=True, slots=True)
class NucleotidesConfig:
    """The IUPAC letters of DNA; U is read as T, small letters as capitals, white space is dropped."""

    kind: Literal["nucleotides"] = "nucleotides"


@final
class NucleotidesCodec(VocabularyCodec):
    """A `TextCodec` for sequences of nucleotides: A, C, G, T are ids 4 to 7, the letters for several bases follow.

    Nothing is fitted, and nothing is unknown: what is no such letter is refused.
    """

    def __init__(self) -> None:
        super().__init__({"kind": "nucleotides", "letters": list(LETTERS)}, LETTERS, Normaliser("none", False))
        self._texts = (*SPECIAL_NAMES, *LETTERS)
        self._ids = {letter: id for id, letter in enumerate(LETTERS, NUM_SPECIALS)}

    @classmethod
    def fit(cls, config: NucleotidesConfig, texts: Iterable[str]) -> "NucleotidesCodec":
        """Returns the codec, after a look at whether the texts are sequences.

        Raises:
            RequestError: there is no text, or one has a letter that is none of DNA.
        """
        codec, empty = cls(), True
        for text in texts:
            codec._encode_plain(text)
            empty = False
        if empty:
            raise RequestError("The nucleotides codec was given no sequences, expected at least one.")
        return codec

    def extended(self, config: NucleotidesConfig, texts: Iterable[str]) -> "NucleotidesCodec":
        """Returns this codec, with the tags of the texts besides its own."""
        tags: set[str] = set()
        NucleotidesCodec.fit(config, noting_tags(texts, tags))
        return NucleotidesCodec().with_tags([*self.tags, *sorted(tags)])

    @classmethod
    def restore(cls, stored: StoredCodec) -> "NucleotidesCodec":
        """Makes the codec of what `save` wrote.

        Raises:
            WorkError: the content is damaged, or names other letters.
        """
        if stored.characters("letters") != list(LETTERS):
            raise stored.fault(f"'letters' are not {', '.join(LETTERS)}")
        return cls()

    def normalise(self, text: str) -> str:
        """Returns the sequence in capitals, U as T, without white space."""
        return "".join(text.split()).upper().replace("U", "T")

    def _encode_plain(self, text: str) -> list[int]:
        ids = self._ids
        letters = self.normalise(text)
        try:
            return [ids[letter] for letter in letters]
        except KeyError as error:
            place = letters.index(error.args[0]) + 1
            raise RequestError(
                f"The sequence has {error.args[0]!r} as its letter {place}, expected A, C, G, T, U or the IUPAC "
                f"letters {', '.join(LETTERS[4:])}: {_excerpt(letters)}."
            ) from None

    def decode(self, ids: Sequence[int], unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns the letters of any ids; see `VocabularyCodec.decode`."""
        return "".join(
            [
                self._texts[id] if id < self._num_pieces else unknown[id - self.size].text
                for id in self._decodable(ids, len(unknown))
            ]
        )

    def _unknown_plain(self, text: str) -> list[UnknownPiece]:
        return []

    def _piece_symbols(self) -> list[tuple[str, Any]]:
        return [("nucleotide", letter) for letter in LETTERS]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns where in `text` each id comes from."""
        return [(place, place + 1) for place, letter in enumerate(text) if not letter.isspace()]


def _excerpt(text: str) -> str:
    return f"'{text}'" if len(text) <= 40 else f"'{text[:40]}...'"
