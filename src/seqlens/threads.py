"""How OpenMP's threads wait, which is settled when torch is imported: so this module must not import it."""

import os

_SPINS = "1000"
"""About twenty microseconds, which is longer than the way from one operator to the next."""


def let_waiting_threads_sleep() -> None:
    """Lets threads that wait spin for a moment and then sleep, unless the user has said how they are to wait.

    By default they go on spinning for milliseconds, which takes the core from a busy neighbour, and it from them. To
    sleep at once costs a quiet machine much where operators are small, as in recurrent layers. Spinning for a moment
    is near the better of both (GNU's OpenMP, which torch has on Linux; others sleep at once).
    """
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ["GOMP_SPINCOUNT"] = _SPINS
