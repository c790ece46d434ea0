"""The four ids that mean the same in every codec, how pieces are shown, and what an unknown one was."""

from typing import NamedTuple

PADDING_ID = 0
UNKNOWN_ID = 1
START_ID = 2
END_ID = 3

SPECIAL_NAMES = ("<pad>", "<unk>", "<start>", "<end>")
NUM_SPECIALS = len(SPECIAL_NAMES)


class UnknownPiece(NamedTuple):
    """A piece of a text that has no id: its text, and how the words codec joins it to its neighbours."""

    text: str
    join: int = 0


def visible(piece: str) -> str:
    """Returns a piece of text as it is shown to a person: a space as `▁`, a tab as `\\t`."""
    if piece.isprintable():  # of all white space, only the plain space counts as printable
        return piece.replace(" ", "▁")
    return "".join(_visible_character(character) for character in piece)


def _visible_character(character: str) -> str:
    if character == " ":
        return "▁"
    # Invisible joiners are left alone: they shape the letters or emoji around them.
    hidden = character.isspace() or ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0
    return character.encode("unicode_escape").decode("ascii") if hidden else character
