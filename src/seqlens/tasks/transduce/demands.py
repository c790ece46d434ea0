"""What a person wants an answer to hold: how it begins, and phrases in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from seqlens.data.copying import number_target
from seqlens.data.text import UNKNOWN_ID, TextCodec, UnknownPiece
from seqlens.decoding import symbols_needed
from seqlens.errors import RequestError


@dataclass(frozen=True, slots=True)
class Demand:
    """Texts that an answer must begin with, and must have in it.

    The answer's text begins with `codec.normalise(prefix)` less the white space at its end, letter for letter. It
    may go on with the same word: a prefix `Two do` may become `Two dogs`. Each phrase stands in it as the codec
    writes it between words; here too a longer word may begin with its end.
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
        RequestError: a phrase is empty, or the target vocabulary lacks a word; the sentence names the input `number`.
    """
    for phrase in demand.phrases:
        if not phrase.strip():
            raise RequestError(f"Input {number} has an empty phrase among its constraints; leave it out.")
    return EncodedDemand(
        _encode(codec, demand.prefix, unknown, f"The prefix of input {number}"),
        tuple(_encode(codec, phrase.strip(), unknown, f"A phrase of input {number}") for phrase in demand.phrases),
    )


def _encode(codec: TextCodec, text: str, unknown: Sequence[UnknownPiece], name: str) -> tuple[int, ...]:
    # White space at the end would be a token of its own, and the next word would bring its space besides.
    text = codec.normalise(text).rstrip()
    ids = number_target(codec, text, codec.encode(text), unknown)
    if UNKNOWN_ID in ids:
        known = {piece.text for piece in unknown}
        lacking = next((piece.text for piece in codec.unknown_pieces(text) if piece.text not in known), "")
        raise RequestError(f"{name}, '{text}', has '{lacking}', which the target vocabulary does not have.")
    return tuple(ids)
