"""How many examples a test draws: few in an ordinary run, very many under `SEQLENS_SOAK` (`make soak`)."""

import os

from hypothesis import settings

SOAK = bool(os.environ.get("SEQLENS_SOAK"))


def draws(few: int, *, many: int = 10_000) -> settings:
    """The settings of a test that names its own number of examples, which no profile could raise."""
    return settings(max_examples=many if SOAK else few)
