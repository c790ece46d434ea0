"""The subwords codec: pieces between a character and a word, found by BPE or by a unigram language model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Annotated, Any, Literal, final

import numpy as np
from pydantic import Field

from seqlens.data.codecs.base import VocabularyCodec
from seqlens.data.codecs.bpe_dropout import BpeDropout, join_spelling
from seqlens.data.codecs.chunking import JOINER, Chunking
from seqlens.data.codecs.marks import noting_tags
from seqlens.data.codecs.normalisation import Normalisation, Normaliser
from seqlens.data.codecs.parts import PartEncoder, split_parts
from seqlens.data.codecs.segmentation import MAX_CHUNK_LENGTH, cut_chunks
from seqlens.data.codecs.specials import NUM_SPECIALS, SPECIAL_NAMES, UNKNOWN_ID, UnknownPiece, visible
from seqlens.data.codecs.storage import StoredCodec
from seqlens.data.codecs.subword_models import BpeModel, SubwordModel, UnigramModel, restore_model
from seqlens.data.codecs.subword_training import (
    choose_alphabet,
    count_chunks,
    count_runs,
    train_bpe,
)
from seqlens.data.codecs.unigram_training import train_unigram
from seqlens.data.codecs.vocabulary import check_found, check_sizes
from seqlens.errors import RequestError

NUM_BYTES = 256


@final
@dataclass(frozen=True, slots=True)
class SubwordsConfig:
    """At most `vocab_size` ids: four special ones, 256 bytes with `byte_fallback`, then pieces of text.

    With `byte_fallback`, a character that has no piece is written as its UTF-8 bytes, so that no text is
    unknown. Only the most frequent characters, which make up the share `character_coverage` of the text, have
    a piece then. Without it, every character of the text has a piece, as far as there is room, and any other
    is `<unk>`. Numbers are cut after `max_digits` digits, so that long ones are made of a few parts that are each
    seen often; 1 reads them digit by digit.

    A word after a symbol has other pieces than after a space: `homme` of `l'homme` is not that of `un homme`. With
    `joiners` it has the same ones, and the symbol tells that no space follows, as the symbols of the words codec do.
    """

    kind: Literal["subwords"] = "subwords"
    algorithm: Literal["bpe", "unigram"] = "bpe"
    vocab_size: int = 8000
    byte_fallback: bool = True
    character_coverage: float = 0.9995
    max_digits: Annotated[int, Field(ge=1, le=MAX_CHUNK_LENGTH)] = MAX_CHUNK_LENGTH
    joiners: bool = False
    normalisation: Normalisation = "nfc"
    lowercase: bool = False


@final
class SubwordsCodec(VocabularyCodec):
    """A `TextCodec` of subwords, in which a space is a part of the piece that follows it.

    One space is put before each text, and taken off again by `decode`, so that a word has the same pieces at
    the start of a text as within it. Special ids, bytes and pieces are different ids even where they look
    alike: nothing that a text can hold (`<pad>`, `▁`, `<0x0A>`) is read as one of them. With `byte_fallback`,
    every text comes back exactly as it was normalised.
    """

    def __init__(self, model: SubwordModel, byte_fallback: bool, normaliser: Normaliser, chunking: Chunking) -> None:
        num_bytes = NUM_BYTES if byte_fallback else 0
        content = {"kind": "subwords", "byte_fallback": byte_fallback, "max_digits": chunking.max_digits}
        # A codec without joiners is what it was before there were any.
        content |= {**model.content(), **({"joiners": True} if chunking.joiners else {})}
        shown = [f"<0x{byte:02X}>" for byte in range(num_bytes)] + [visible(piece) for piece in model.pieces]
        super().__init__(content, shown, normaliser)
        self._model = model
        self._byte_fallback = byte_fallback
        self._chunking = chunking
        self._first_piece = NUM_SPECIALS + num_bytes
        single_bytes = [bytes([byte]) for byte in range(num_bytes)]
        joiner = JOINER if chunking.joiners else ""
        written = [piece.removesuffix(joiner).encode() for piece in model.pieces]
        self._bytes = [name.encode() for name in SPECIAL_NAMES] + single_bytes + written
        self._joined = frozenset(
            id for id, piece in enumerate(model.pieces, self._first_piece) if joiner and piece.endswith(joiner)
        )
        self._parts = PartEncoder(self._encode_part)

    @classmethod
    def fit(cls, config: SubwordsConfig, texts: Iterable[str]) -> "SubwordsCodec":
        """Fits a codec on texts, which are read once; only their different chunks are kept in memory.

        Where the texts do not give `vocab_size` pieces, the vocabulary is smaller. The same texts give the
        same codec.

        Raises:
            RequestError: a setting is out of its range, or there is no text.
        """
        reserved = NUM_SPECIALS + (NUM_BYTES if config.byte_fallback else 0)
        chunking = Chunking(config.max_digits, config.joiners)
        check_sizes("subwords", vocab_size=config.vocab_size, reserved=reserved + config.joiners)
        if not 0 < config.character_coverage <= 1:
            raise RequestError(
                f"The subwords codec's 'character_coverage' is {config.character_coverage}, "
                "expected a number above 0 and not above 1."
            )
        normaliser = Normaliser(config.normalisation, config.lowercase)
        chunks = count_chunks(texts, normaliser, chunking)
        check_found("subwords", chunks, list(chunks), 1)
        num_pieces = config.vocab_size - reserved
        coverage = config.character_coverage if config.byte_fallback else 1.0
        alphabet = choose_alphabet(chunks, coverage=coverage, limit=num_pieces, joiners=config.joiners)
        runs = count_runs(chunks, alphabet, chunking)
        model: SubwordModel
        match config.algorithm:
            case "bpe":
                model = BpeModel(alphabet, train_bpe(runs, alphabet, num_pieces))
            case "unigram":
                model = UnigramModel(train_unigram(runs, alphabet, num_pieces))
        return cls(model, config.byte_fallback, normaliser, chunking)

    def extended(self, config: SubwordsConfig, texts: Iterable[str]) -> "SubwordsCodec":
        """Returns this codec with the characters and tags besides that a codec fitted on the texts would have.

        No pieces of several characters are added: they would cut words that are known already in another way.
        """
        tags: set[str] = set()
        chunking = self._chunking
        chunks = count_chunks(noting_tags(texts, tags), self._normaliser, chunking)
        coverage = config.character_coverage if self._byte_fallback else 1.0
        found = choose_alphabet(chunks, coverage=coverage, limit=config.vocab_size, joiners=chunking.joiners)
        new = [character for character in found if character not in self._model.alphabet]
        model = self._model.with_characters(new) if new else self._model
        extended = SubwordsCodec(model, self._byte_fallback, self._normaliser, chunking)
        return extended.with_tags([*self.tags, *sorted(tags)])

    @classmethod
    def restore(cls, stored: StoredCodec) -> "SubwordsCodec":
        """Makes a codec of what `save` wrote.

        Raises:
            WorkError: the content is damaged.
        """
        chunking = Chunking(stored.get("max_digits", int), "joiners" in stored.content and stored.get("joiners", bool))
        return cls(restore_model(stored), stored.get("byte_fallback", bool), stored.normaliser(), chunking)

    def _encode_plain(self, text: str) -> list[int]:
        """Returns the ids of the normalised text's pieces; an empty text has none."""
        return self._parts.encode(self._normaliser.apply(text))

    def decode(self, ids: Sequence[int], unknown: Sequence[UnknownPiece] = ()) -> str:
        """Returns the text of any ids, bytes that are no UTF-8 as U+FFFD; see `VocabularyCodec.decode`."""
        parts: list[bytes] = []
        joined = False  # whether the space that begins a piece is not in the text
        for id in self._decodable(ids, len(unknown)):
            part = self._bytes[id] if id < self._num_pieces else unknown[id - self.size].text.encode()
            is_piece = self._first_piece <= id < self._num_pieces
            parts.append(part.removeprefix(b" ") if joined and is_piece else part)
            joined = id in self._joined
        content = b"".join(parts)
        return content.decode("utf-8", errors="replace").removeprefix(" ")

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns where in `text` each id comes from; a piece's span starts at the space that belongs to it.

        The space put before the text has no span of its own, nor has a joiner or the space after it: a piece that is
        nothing else has an empty span, at the start `(0, 0)`. Each byte of a character has the character's span.
        """
        normalised, origins = self._normaliser.align(text)
        origins = [(0, 0), *origins]
        spans: list[tuple[int, int]] = []
        pieces = [
            piece
            for part in split_parts(normalised)
            for run, is_known in self._runs(part)
            for piece in ([(text, True) for text in self._pieces(run)] if is_known else [(run, False)])
        ]
        start = 0
        for (piece, is_known), length in zip(pieces, self._chunking.lengths(pieces), strict=True):
            last = origins[start + length - 1][1] if start + length else 0
            span = (origins[start][0] if length else last, last)
            spans += [span] * (1 if is_known else len(self._encode_run(piece, False)))
            start += length
        return spans

    def dropout(self, dropout_p: float) -> BpeDropout | None:
        """Returns what cuts rows of this codec's ids again, at random; None where it has learnt no merges."""
        model = self._model
        if not isinstance(model, BpeModel):
            return None
        ids = {piece: id for id, piece in enumerate(model.pieces, self._first_piece)}
        merges = [(ids[left], ids[right], ids[left + right]) for left, right in model.merges]
        starts_word = np.ones(self.size, dtype=np.bool_)
        starts_word[NUM_SPECIALS : self._first_piece] = False  # bytes
        starts_word[self._first_piece : self._num_pieces] = [piece.startswith(" ") for piece in model.pieces]
        return BpeDropout(
            merges={(left, right): (rank, merged) for rank, (left, right, merged) in enumerate(merges)},
            spelling=join_spelling(merges, [ids[character] for character in model.alphabet_in_order]),
            starts_word=starts_word,
            split_runs=self._split_word,
            dropout_p=dropout_p,
        )

    def _split_word(self, word: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Cuts the ids of a word where its runs end; bytes and special ids stand alone."""
        runs: list[tuple[int, ...]] = []
        for is_text, group in groupby(word, key=lambda id: self._first_piece <= id < self._num_pieces):
            ids = tuple(group)
            if not is_text:
                runs.extend((id,) for id in ids)
                continue
            pieces = [self._model.pieces[id - self._first_piece] for id in ids]
            ends = set(accumulate(len(chunk) for chunk in cut_chunks("".join(pieces), self._chunking.max_digits)))
            places = [0, *(n for n, end in enumerate(accumulate(map(len, pieces)), start=1) if end in ends)]
            runs.extend(ids[first:end] for first, end in pairwise(places))
        return runs

    def _piece_symbols(self) -> list[tuple[str, Any]]:
        fallback: list[tuple[str, Any]] = [("byte", id) for id in range(self._first_piece - NUM_SPECIALS)]
        return fallback + [("piece", piece) for piece in self._model.pieces]

    def _unknown_plain(self, text: str) -> list[UnknownPiece]:
        if self._byte_fallback:
            return []
        parts = split_parts(self._normaliser.apply(text))
        return [UnknownPiece(run) for part in parts for run, is_known in self._runs(part) if not is_known]

    def _encode_part(self, part: str) -> list[int]:
        return [id for run, is_known in self._runs(part) for id in self._encode_run(run, is_known)]

    def _runs(self, part: str) -> list[tuple[str, bool]]:
        return self._chunking.runs(part, self._model.alphabet)

    def _pieces(self, run: str) -> list[str]:
        return [self._model.pieces[index] for index in self._model.cut(run)]

    def _encode_run(self, run: str, is_known: bool) -> list[int]:
        if is_known:
            return [self._first_piece + index for index in self._model.cut(run)]
        if self._byte_fallback:
            return [NUM_SPECIALS + byte for byte in run.encode()]
        return [UNKNOWN_ID]
