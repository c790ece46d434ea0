"""What a search over settings may choose from: `path=low:high`, `path=log:low:high`, `path=one|other`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, final

from seqlens.config.scalars import read_scalar
from seqlens.errors import RequestError

_EXPECTED = (
    "expected path=low:high, path=low:high:step, path=log:low:high or path=one|other, such as "
    "training.optimizer.learning_rate=log:1e-4:1e-2"
)
Scalar = str | int | float | bool | None


@final
@dataclass(frozen=True, slots=True)
class Choices:
    """One of several values."""

    path: str
    values: tuple[Scalar, ...]

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """What is checked before the first trial."""
        return self.values

    def all_values(self, most: int) -> Sequence[Scalar] | None:
        """All of them; None if they are more than `most`."""
        return self.values if len(self.values) <= most else None

    def distribution(self) -> Any:
        """As Optuna has it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


@final
@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both of them included; whole where both are. `log`: drawn by its logarithm."""

    path: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """What is checked before the first trial."""
        return self.low, self.high

    def all_values(self, most: int) -> Sequence[Scalar] | None:
        """All that can be drawn; None if they are more than `most`, as those of a range without steps are."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        step = self.step or (1 if whole else None)
        if step is None or (count := round((self.high - self.low) / step) + 1) > most:
            return None
        numbers = [self.low + step * place for place in range(count)]
        return [int(number) for number in numbers] if whole else [float(number) for number in numbers]

    def distribution(self) -> Any:
        """As Optuna has it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log, step=1 if self.step is None else int(self.step))
        return FloatDistribution(float(self.low), float(self.high), log=self.log, step=self.step)


Parameter = Choices | Range


def read_parameters(texts: Sequence[str], settings: Mapping[str, Any]) -> list[Parameter]:
    """Reads what a person wrote; `settings` are those of the recipe, by which `0:1` is of fractions or whole numbers.

    Raises:
        RequestError: one cannot be read, or a setting is named twice, or there is none.
    """
    if not texts:
        raise RequestError(f"No setting to search over was named (--param), {_EXPECTED}.")
    parameters = [_read(text, settings) for text in texts]
    paths = [one.path for one in parameters]
    for path in paths:
        if paths.count(path) > 1:
            raise RequestError(f"--param names '{path}' twice, expected each setting once.")
    return parameters


def combinations(space: Sequence[Parameter], *, most: int) -> list[dict[str, Scalar]] | None:
    """All settings of a search space, by path; None where there are more than `most` of them, or no end of them."""
    values = [parameter.all_values(most) for parameter in space]
    if any(found is None for found in values) or math.prod(len(found or ()) for found in values) > most:
        return None
    paths = [parameter.path for parameter in space]
    return [dict(zip(paths, found, strict=True)) for found in product(*(found or () for found in values))]


def _read(text: str, settings: Mapping[str, Any]) -> Parameter:
    path, equals, spec = text.partition("=")
    path, spec = path.strip(), spec.strip()
    if not equals or not path or not spec:
        raise RequestError(f"--param {text}: {_EXPECTED}.")
    if path in ("seed", "train_fraction"):
        raise RequestError(f"--param {text}: '{path}' is not for a search: its best value would be luck, or all data.")
    if "|" in spec:
        values = tuple(read_scalar(part.strip()) for part in spec.split("|"))
        if len(set(map(repr, values))) < len(values):
            raise RequestError(f"--param {text}: a value stands there twice, expected different ones.")
        return Choices(path, values)
    parts = spec.split(":")
    log = parts[0] == "log"
    numbers = [read_scalar(part.strip()) for part in parts[1 if log else 0 :]]
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in numbers)
    if len(numbers) not in (2, 2 if log else 3) or not all(_is_number(one) for one in numbers):
        raise RequestError(f"--param {text}: {_EXPECTED}.")
    low, high, *step = (float(one) for one in numbers if isinstance(one, (int, float)))
    if not low < high or (log and low <= 0) or (step and step[0] <= 0):
        raise RequestError(f"--param {text}: expected low below high{', both above 0' if log else ''}.")
    if step and not math.isclose((high - low) / step[0], round((high - low) / step[0]), rel_tol=1e-9):
        reached = low + step[0] * math.floor((high - low) / step[0])
        raise RequestError(
            f"--param {text}: steps of {step[0]:g} from {low:g} do not reach {high:g}, expected such as "
            f"{low:g}:{reached:g}:{step[0]:g}."
        )
    if whole and not isinstance(_at(settings, path), float):
        return Range(path, int(low), int(high), log, step[0] if step else None)
    return Range(path, low, high, log, step[0] if step else None)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _at(settings: Any, path: str) -> object:
    for name in path.split("."):
        settings = settings.get(name) if isinstance(settings, Mapping) else None
    return settings
