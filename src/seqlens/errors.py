"""What a person is told when a request cannot be met: one sentence, no traceback."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

_MOST_BESIDE = 1000
"""Files of a folder that are looked at for a name that may be meant."""


class SeqlensError(Exception):
    """Base of every error that is meant to be read by a user; `exit_code` is what the command line returns."""

    exit_code = 1


class RequestError(SeqlensError):
    """What was asked for is wrong: a misspelt key, a missing file, a broken line."""

    exit_code = 2


class InputError(RequestError):
    """An input, or what is asked of its answer, is wrong: `tell` makes the sentence from its number, from one on."""

    def __init__(self, tell: Callable[[int], str], number: int) -> None:
        super().__init__(tell(number))
        self._tell = tell
        self._number = number

    def __reduce__(self) -> tuple[type[RequestError], tuple[str]]:
        return RequestError, (str(self),)  # from another process comes the sentence

    def after(self, count: int) -> "InputError":
        """The same where so many inputs stood before those of the call."""
        return InputError(self._tell, self._number + count)


class WorkError(SeqlensError):
    """The request was sound, but the work failed: a full disk, a damaged run folder, a loss that became NaN."""

    exit_code = 1


class DivergedError(WorkError):
    """A training whose loss or gradients are no numbers any more: its settings are at fault."""


def check_choice(name: str, found: object, choices: tuple[str, ...]) -> None:
    """Raises ValueError if an argument is none of its choices; without it a misspelt one would choose some default."""
    if found not in choices:
        listed = ", ".join(repr(choice) for choice in choices[:-1])
        near = did_you_mean(str(found), choices)
        raise ValueError(f"`{name}` must be {listed} or {choices[-1]!r}, but is {found!r}.{near}")


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the valid choice nearest to a misspelt word, or nothing if none is near."""
    by_lowercase = {choice.lower(): choice for choice in choices}
    near = get_close_matches(str(word).lower(), by_lowercase, n=1, cutoff=0.6)
    return f" Did you mean '{by_lowercase[near[0]]}'?" if near else ""


def did_you_mean_data(word: str, names: Iterable[str], where: Path) -> str:
    """Returns the same for what names data: one of the names, or a file or folder beside the path `where`."""
    beside: list[str] = []
    with suppress(OSError):
        beside = [entry.name for entry in islice(where.parent.iterdir(), _MOST_BESIDE)]
    # Names come last, and so count where a file has the same.
    shown = {**{name: str(Path(word).with_name(name)) for name in beside}, **{name: name for name in names}}
    near = get_close_matches(Path(word).name, shown, n=1, cutoff=0.6)
    return f" Did you mean '{shown[near[0]]}'?" if near else ""
