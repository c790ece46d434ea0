"""The words codec: one id per word, punctuation mark and Han character."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from seqlens.data.codecs.base import VocabularyCodec
from seqlens.data.codecs.marks import noting_tags
from seqlens.data.codecs.normalisation import Normalisation, Normaliser
from seqlens.data.codecs.parts import PartEncoder, split_parts
from seqlens.data.codecs.segmentation import APART, JOINED_BOTH, JOINED_LEFT, JOINED_RIGHT, split_words
from seqlens.data.codecs.specials import NUM_SPECIALS, SPECIAL_NAMES, UNKNOWN_ID, UnknownPiece, visible
from seqlens.data.codecs.storage import StoredCodec
from seqlens.data.codecs.vocabulary import check_found, check_sizes, most_frequent

# Shown at a piece's side where no space stands. It is only shown: a join is a number in the vocabulary, so
# that no text, whatever it holds, can be mistaken for one.
_MARK = "￭"
_JOIN_NAMES = {JOINED_LEFT: "left", JOINED_RIGHT: "right", JOINED_BOTH: "both"}
_JOINS = {name: join for join, name in _JOIN_NAMES.items()}

WordEntry = tuple[str, int]


@final
@dataclass(frozen=True, slots=True)
class WordsConfig:
    """At most `vocab_size` ids, special ones included; what is seen less than `min_count` times has none."""

    kind: Literal["words"] = "words"
    vocab_size: int = 10000
    min_count: int = 1
    normalisation: Normalisation = "nfc"
    lowercase: bool = False


@final
class WordsCodec(VocabularyCodec):
    """A `TextCodec` with one id for each frequent word and symbol, and `<unk>` for each other one.

    Punctuation is split from words; `segmentation.split_words` has the rules. Words stand one space apart. A
    symbol that stands closer has an id of its own for each way it is joined: `"Hello, (big) world"` is `Hello
    ￭, (￭ big ￭) world`. White space that is no single space between two words is a piece as well, so that
    every text without unknown pieces comes back exactly as it was normalised. A run of a script written
    without spaces is one word, but for Han characters, which are one piece each.
    """

    def __init__(self, entries: Sequence[WordEntry], normaliser: Normaliser) -> None:
        content = {"kind": "words", "entries": [_stored(entry) for entry in entries]}
        super().__init__(content, [_shown(entry) for entry in entries], normaliser)
        self._entries = (*((name, APART) for name in SPECIAL_NAMES), *entries)
        self._ids = {entry: id for id, entry in enumerate(entries, NUM_SPECIALS)}
        self._parts = PartEncoder(self._encode_part)

    @classmethod
    def fit(cls, config: WordsConfig, texts: Iterable[str]) -> "WordsCodec":
        """Fits a codec on texts, which are read once. The most frequent piece has the lowest id.

        Raises:
            RequestError: a setting is out of its range, there is no text, or nothing is seen `min_count`
            times.
        """
        normaliser, counts, entries = _frequent(config, texts)
        check_found("words", counts, entries, config.min_count)
        return cls(entries, normaliser)

    def extended(self, config: WordsConfig, texts: Iterable[str]) -> "WordsCodec":
        """Returns this codec with the words and tags besides that are frequent in the texts, if there are any."""
        tags: set[str] = set()
        _, _, frequent = _frequent(config, noting_tags(texts, tags))
        known = self._entries[NUM_SPECIALS:]
        new = [entry for entry in frequent if entry not in self._ids]
        return WordsCodec((*known, *new), self._normaliser).with_tags([*self.tags, *sorted(tags)])

    @classmethod
    def restore(cls, stored: StoredCodec) -> "WordsCodec":
        """Makes a codec of what `save` wrote.

        Raises:
            WorkError: the content is damaged.
        """
        entries = [_restored(value, place, stored) for place, value in enumerate(stored.filled_list("entries"))]
        stored.check_unique("entries", entries)
        return cls(entries, stored.normaliser())

    def _encode_plain(self, text: str) -> list[int]:
        """Returns one id per piece of the normalised text."""
        return self._parts.encode(self._normaliser.apply(text))

    def decode(self, ids: Sequence[int], unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns the pieces of any ids with the spaces their joins leave; see `VocabularyCodec.decode`."""
        parts: list[str] = []
        last_join = JOINED_RIGHT  # no space stands before the first piece
        for id in self._decodable(ids, len(unknown)):
            text, join = self._entries[id] if id < self._num_pieces else unknown[id - self.size]
            if not (last_join & JOINED_RIGHT or join & JOINED_LEFT):
                parts.append(" ")
            parts.append(text)
            last_join = join
        return "".join(parts)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns where in `text` each id comes from; implied spaces belong to no span."""
        normalised, origins = self._normaliser.align(text)
        return [(origins[piece.start][0], origins[piece.end - 1][1]) for piece in split_words(normalised)]

    def pieces(self, text: str) -> list[str]:
        """Returns what of the normalised text each id of `encode(text)` stands for, known or not."""
        return [piece for part in split_parts(self._normaliser.apply(text)) for piece, _ in _entries_of(part)]

    def _piece_symbols(self) -> list[tuple[str, Any]]:
        return [("word", entry) for entry in self._entries[NUM_SPECIALS:]]

    def _unknown_plain(self, text: str) -> list[UnknownPiece]:
        parts = split_parts(self._normaliser.apply(text))
        return [UnknownPiece(*entry) for part in parts for entry in _entries_of(part) if entry not in self._ids]

    def _encode_part(self, part: str) -> list[int]:
        return [self._ids.get(entry, UNKNOWN_ID) for entry in _entries_of(part)]


def _entries_of(text: str) -> list[WordEntry]:
    return [(text[start:end], join) for start, end, join in split_words(text)]


def _shown(entry: WordEntry) -> str:
    text, join = entry
    return (_MARK if join & JOINED_LEFT else "") + visible(text) + (_MARK if join & JOINED_RIGHT else "")


def _stored(entry: WordEntry) -> str | list[str]:
    text, join = entry
    return text if join == APART else [text, _JOIN_NAMES[join]]


def _restored(value: Any, place: int, stored: StoredCodec) -> WordEntry:
    match value:
        case str() if value:
            return value, APART
        case [str(text), str(name)] if text and name in _JOINS:
            return text, _JOINS[name]
    names = ", ".join(f"'{name}'" for name in _JOINS)
    raise stored.fault(f"'entries' entry {place} is {value!r}, expected a word, or a symbol and one of {names}")


def _frequent(config: WordsConfig, texts: Iterable[str]) -> tuple[Normaliser, Counter[WordEntry], list[WordEntry]]:
    """How texts are normalised, how often each entry is in them, and those that are there often enough."""
    check_sizes("words", min_count=config.min_count, vocab_size=config.vocab_size)
    normaliser = Normaliser(config.normalisation, config.lowercase)
    parts = Counter(part for text in texts for part in split_parts(normaliser.apply(text)))
    counts: Counter[WordEntry] = Counter()
    for part, count in parts.items():
        for entry in _entries_of(part):
            counts[entry] += count
    return normaliser, counts, most_frequent(counts, min_count=config.min_count, limit=config.vocab_size - NUM_SPECIALS)
