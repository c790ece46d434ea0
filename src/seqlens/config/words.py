"""The plain words in which a fault of a configuration is told."""

from collections.abc import Iterable, Mapping, Sequence

KeyPath = tuple[str, ...]

_SHOWN_LENGTH = 60


def dotted(path: Sequence[str]) -> str:
    """Returns the path of a setting as a user writes it, such as `training.schedule.kind`."""
    return ".".join(path)


def found(value: object) -> str:
    """Returns a value and its kind, such as `'8' (text)` or `nothing`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{written(value)} (true/false)"
        case str():
            return f"{written(value)} (text)"
        case int():
            return f"{written(value)} (whole number)"
        case float():
            return f"{written(value)} (number)"
        case Mapping():
            return "a mapping"
        case _:
            return "a list"


def written(value: object) -> str:
    """Returns a single value as it is written in a file; long text is cut."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(_cut(value))
        case _:
            return _cut(str(value))


def one_of(parts: Iterable[str]) -> str:
    """Joins alternatives: `a whole number, 'auto' or null`; choices alone become `one of 'a', 'b'`."""
    parts = list(dict.fromkeys(parts))
    if len(parts) == 1:
        return parts[0]
    if not any(part.startswith(("a ", "text", "true or")) for part in parts):
        return f"one of {', '.join(parts)}"
    return f"{', '.join(parts[:-1])} or {parts[-1]}"


def counted(number: int, noun: str) -> str:
    """Returns `1 item` or `3 items`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…"


def sentence(text: str) -> str:
    """Returns `text` on one line, with a full stop at its end."""
    text = " ".join(text.split())
    return text if text.endswith((".", "?", "!")) else text + "."
