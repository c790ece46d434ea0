"""What happens to a text before a codec splits it, and where each character of the result came from."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, final

Normalisation = Literal["nfc", "nfkc", "none"]

# Half of a UTF-16 pair on its own is no character: it has no UTF-8 form, so no codec could save it.
_SURROGATES = re.compile("[\ud800-\udfff]")


@final
@dataclass(frozen=True, slots=True)
class Normaliser:
    """Unicode normal form and letter case.

    `nfc` joins letters and accents into one character each; `nfkc` also replaces look-alikes (full-width
    letters, ligatures, superscripts) by the plain ones; `none` leaves the text alone. With `lowercase`, the
    text is lower-cased by Unicode's rules (those of no single language) and brought into the normal form
    again. In every form, a lone surrogate becomes U+FFFD.
    """

    form: Normalisation
    lowercase: bool

    def apply(self, text: str) -> str:
        """Returns the normalised text."""
        if text.isascii():
            return text.lower() if self.lowercase else text
        text = self._in_form(_SURROGATES.sub("\ufffd", text))
        return self._in_form(text.lower()) if self.lowercase else text

    def align(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """Returns the normalised text and, for each of its characters, the span `(start, end)` of `text` it
        came from.

        Where several characters change together (a letter and its accents, Hangul jamo), each character of
        the result has the span of them all.
        """
        normalised = self.apply(text)
        spans = [(index, index + 1) for index in range(len(text))]
        if normalised == text or text.isascii():
            return normalised, spans
        text = _SURROGATES.sub("\ufffd", text)
        spans = _follow(spans, self._form_changes(text))
        text = self._in_form(text)
        if self.lowercase:
            spans = _follow(spans, _case_changes(text))
            text = text.lower()
            spans = _follow(spans, self._form_changes(text))
        return normalised, spans

    def _in_form(self, text: str) -> str:
        match self.form:
            case "nfc":
                return unicodedata.normalize("NFC", text)
            case "nfkc":
                return unicodedata.normalize("NFKC", text)
            case "none":
                return text

    def _form_changes(self, text: str) -> list[tuple[int, int]]:
        """Cuts `text` where nothing changes across the cut; returns each part's length before and after."""
        parts: list[str] = []
        for character in text:
            if parts and (unicodedata.combining(character) or self._joins(parts[-1], character)):
                parts[-1] += character
            else:
                parts.append(character)
        changed = [self._in_form(part) for part in parts]
        if "".join(changed) != self._in_form(text):  # no cut is known to be safe: one part for the whole
            return [(len(text), len(self._in_form(text)))]
        return [(len(part), len(result)) for part, result in zip(parts, changed, strict=True)]

    def _joins(self, before: str, character: str) -> bool:
        return self._in_form(before + character) != self._in_form(before) + self._in_form(character)


def _case_changes(text: str) -> list[tuple[int, int]]:
    lengths = [(1, len(character.lower())) for character in text]
    total = len(text.lower())
    return lengths if sum(after for _, after in lengths) == total else [(len(text), total)]


def _follow(spans: list[tuple[int, int]], changes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns the spans after parts of the text changed, each from a length `before` to a length `after`."""
    result: list[tuple[int, int]] = []
    position = 0
    for before, after in changes:
        whole = (spans[position][0], spans[position + before - 1][1])
        result.extend([whole] * after)
        position += before
    return result
