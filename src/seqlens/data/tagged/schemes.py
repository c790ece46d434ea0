"""Tags of tokens to spans and back: BIO (IOB2), IOB1, BIOES and its other spelling BILOU.

| scheme | one token | several tokens | right after one of the same label |
|---|---|---|---|
| `bio` | B | B I I | B … |
| `iob1` | I | I I I | B … |
| `bioes` | S | B I E | as anywhere |
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Scheme = Literal["bio", "iob1", "bioes"]
TokenSpan = tuple[int, int, str]
"""First token, token after the last, label."""

_PREFIXES: dict[Scheme, str] = {"bio": "BI", "iob1": "BI", "bioes": "BIESLU"}
_SHOWN: dict[Scheme, str] = {
    "bio": "O, B-LABEL or I-LABEL",
    "iob1": "O, B-LABEL or I-LABEL",
    "bioes": "O, B-LABEL, I-LABEL, E-LABEL or S-LABEL",
}


class TagFault(NamedTuple):
    """Which of the tags breaks its scheme, and how."""

    position: int
    message: str


def is_tag(text: str, scheme: Scheme) -> bool:
    """Whether the text is a tag of the scheme."""
    prefix, dash, label = text.partition("-")
    return text == "O" or bool(dash and label and len(prefix) == 1 and prefix in _PREFIXES[scheme])


def read_tags(tags: Sequence[str], scheme: Scheme) -> list[TokenSpan] | TagFault:
    """The spans that tags stand for, or the first tag that breaks the scheme."""
    for position, tag in enumerate(tags):
        if not is_tag(tag, scheme):
            hint = " (E- and S- are of 'scheme: bioes')" if scheme != "bioes" and is_tag(tag, "bioes") else ""
            return TagFault(position, f"has the tag '{tag}', expected {_SHOWN[scheme]}{hint}")
    match scheme:
        case "bio":
            return _read_bio(tags)
        case "iob1":
            return lenient_spans(tags)
        case "bioes":
            return _read_bioes(tags)


def lenient_spans(tags: Sequence[str]) -> list[TokenSpan]:
    """The spans that any tags are taken for by the CoNLL script and by seqeval, whatever scheme they break.

    A span ends before O, B or S, after E or S, and where the label changes; it begins at B or S, after E, S or O, and
    where the label changes.
    """
    spans: list[TokenSpan] = []
    first, last_prefix, last_label = 0, "O", ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, label = tag.partition("-")
        prefix = {"L": "E", "U": "S"}.get(prefix, prefix)
        inside = last_prefix != "O"
        if inside and (last_prefix in "ES" or prefix in "BSO" or label != last_label):
            spans.append((first, position, last_label))
            inside = False
        if prefix != "O" and not inside:
            first = position
        last_prefix, last_label = prefix, label
    return spans


def write_tags(num_tokens: int, spans: Sequence[TokenSpan], scheme: Scheme = "bio") -> list[str]:
    """The tags of tokens with these spans, which must not overlap."""
    tags = ["O"] * num_tokens
    previous_end, previous_label = -1, ""
    for first, end, label in sorted(spans):
        inner = [f"I-{label}"] * (end - first)
        if scheme != "iob1" or (previous_end == first and previous_label == label):
            inner[0] = f"B-{label}"
        if scheme == "bioes":
            inner[-1] = f"S-{label}" if end - first == 1 else f"E-{label}"
        tags[first:end] = inner
        previous_end, previous_label = end, label
    return tags


def _read_bio(tags: Sequence[str]) -> list[TokenSpan] | TagFault:
    for position, tag in enumerate(tags):
        before = tags[position - 1] if position else None
        if tag.startswith("I-") and (before is None or before[2:] != tag[2:]):
            where = "at the beginning of its sentence" if before is None else f"after '{before}'"
            return TagFault(position, f"has '{tag}' {where}, expected 'B-{tag[2:]}' where an entity begins")
    return lenient_spans(tags)


def _read_bioes(tags: Sequence[str]) -> list[TokenSpan] | TagFault:
    open_label: str | None = None
    for position, tag in enumerate(tags):
        prefix, _, label = tag.partition("-")
        continues = prefix in "IEL"
        if continues and open_label != label:
            where = "at the beginning of its sentence" if position == 0 else f"after '{tags[position - 1]}'"
            return TagFault(
                position, f"has '{tag}' {where}, expected 'B-{label}' or 'S-{label}' where an entity begins"
            )
        if not continues and open_label is not None:
            return TagFault(position, f"has '{tag}' after '{tags[position - 1]}', expected 'E-{open_label}' to end it")
        open_label = label if prefix in "BI" else None
    if open_label is not None:
        return TagFault(len(tags) - 1, f"has '{tags[-1]}' at the end of its sentence, expected 'E-{open_label}'")
    return lenient_spans(tags)
