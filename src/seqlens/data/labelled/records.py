"""What a reader of labelled texts yields."""

from dataclasses import dataclass

from seqlens.data.examples import Place


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and its label; `place` is where it was read from."""

    text: str
    label: str
    place: Place | None = None
