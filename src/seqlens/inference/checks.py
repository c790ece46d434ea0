"""Numbers that a caller gives."""

from seqlens.errors import RequestError


def check_at_least_one(**numbers: int) -> None:
    """Raises a RequestError that names the first of these numbers that is below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise RequestError(f"'{name}' is {number}, expected 1 or more.")
