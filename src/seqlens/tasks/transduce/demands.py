"""What a person wants an answer to hold: how it begins, and phrases in it."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from seqlens.data.codecs.segmentation import unspaced_pattern
from seqlens.data.copying import number_target
from seqlens.data.text import UNKNOWN_ID, TextCodec, UnknownPiece
from seqlens.decoding import symbols_needed
from seqlens.errors import InputError

_OPENED = re.compile(r"[(\[{]$|[^\W\d_]-$")
_ELIDED = re.compile(r"([^\W\d_]+)['\u2019]$")
_QUOTE_OPENED = re.compile(r"(?<!\S)['\u2018]|\u2018")


@dataclass(frozen=True, slots=True)
class Demand:
    """Texts that an answer must begin with, and must have in it.

    The answer's text begins with `codec.normalise(prefix)` less the white space at its end, letter for letter. It
    may go on with the same word: a prefix `Two do` may become `Two dogs`. Each phrase stands in it as the codec
    writes it between words, or where it has no such word, or none in this script, as it writes it joined to what stands
    beside it (`,` after a word); here too a longer word may begin with its end. What ends with an apostrophe, a dash or
    an opening bracket is written as before a word that follows without a space, if that is likely: after `l'`, but not
    after `the dogs'`, nor after a prefix with white space at its end.
    """

    prefix: str = ""
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedDemand:
    """The same as ids of the target codec."""

    prefix: tuple[int, ...] = ()
    phrases: tuple[tuple[int, ...], ...] = ()

    @property
    def num_tokens(self) -> int:
        """Tokens that an answer surely needs for it, without its end."""
        return len(self.prefix) + symbols_needed(self.phrases, self.prefix)


def encode_demand(
    codec: TextCodec, demand: Demand, unknown: Sequence[UnknownPiece] = (), *, number: int = 1
) -> EncodedDemand:
    """The ids of a demand; `unknown` are the words that can be copied from the source.

    Raises:
        InputError: a phrase is empty, or the target vocabulary lacks a word; the sentence names the input `number`.
    """
    for phrase in demand.phrases:
        if not phrase.strip():
            raise InputError(lambda at: f"Input {at} has an empty phrase among its constraints; leave it out.", number)
    return EncodedDemand(
        _encode(codec, demand.prefix, unknown, "The prefix", number, is_inside=False),
        tuple(_encode(codec, phrase.strip(), unknown, "A phrase", number, is_inside=True) for phrase in demand.phrases),
    )


def _encode(
    codec: TextCodec, text: str, unknown: Sequence[UnknownPiece], name: str, number: int, *, is_inside: bool
) -> tuple[int, ...]:
    # White space at the end would be a token of its own, and the next word would bring its space besides.
    typed = codec.normalise(text)
    text = typed.rstrip()
    places = _neighbours(text, is_inside=is_inside, is_joined=text == typed and _is_followed(text))
    spellings = (_ids_between(codec, before, text, after, unknown) for before, after in places)
    in_vocabulary = (ids for ids in spellings if UNKNOWN_ID not in ids)
    # A symbol such as a comma is one piece as it is usually written, and two where it seldom stands apart.
    is_symbol = text != "" and unicodedata.category(text[0])[0] in "PS"
    found = min(in_vocabulary, key=len, default=None) if is_symbol else next(in_vocabulary, None)
    if found is not None:
        return found
    known = {piece.text for piece in unknown}
    lacking = next((piece.text for piece in codec.unknown_pieces(text) if piece.text not in known), "")
    raise InputError(
        lambda at: f"{name} of input {at}, '{text}', has '{lacking}', which the target vocabulary does not have.",
        number,
    )


def _neighbours(text: str, *, is_inside: bool, is_joined: bool) -> list[tuple[str, str]]:
    """What may be joined to a text on its left and right, the likeliest first."""
    apart, word, symbol = ("", ""), "x", "."
    # Beside its like it could become one piece with it, and another word.
    after = symbol if text and unicodedata.category(text[-1])[0] in "LMN" else word
    joined = ("", after)
    if not is_inside or not text:
        return [joined, apart] if is_joined else [apart, joined]
    other = symbol if text[0].isalnum() else word
    first = [(other, ""), apart] if unspaced_pattern().match(text) else [apart, (other, "")]
    return [joined, *first, (other, after)] if is_joined else [*first, joined, (other, after)]


def _is_followed(text: str) -> bool:
    """Whether a text ends with a symbol that a word surely follows without a space.

    Such are an opening bracket, a hyphen after a letter, and an apostrophe that ends neither a quotation nor a plural
    (`dogs'`).
    """
    if _OPENED.search(text):
        return True
    elided = _ELIDED.search(text)
    is_quotation = _QUOTE_OPENED.search(text) is not None
    return elided is not None and not is_quotation and (len(elided[1]) == 1 or elided[1][-1] not in "sS")


def _ids_between(
    codec: TextCodec, before: str, text: str, after: str, unknown: Sequence[UnknownPiece]
) -> tuple[int, ...]:
    """The ids of a text that stands between two others without a space."""
    whole = before + text + after
    ids = number_target(codec, whole, codec.encode(whole), unknown)
    start, end = len(before), len(before) + len(text)
    spans = codec.spans(whole)
    return tuple(id for id, span in zip(ids, spans, strict=True) if span[0] < end and (span[1] > start or not before))
