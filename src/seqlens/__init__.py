"""seqlens trains, explains and ships sequence models. See `seqlens --help` and the README.

run = seqlens.train("translation/gru-attention", out="runs/de-en")
scores = seqlens.evaluate("runs/de-en", split="test")
model = seqlens.load("runs/de-en")
model.predict("Zwei Hunde spielen im Schnee.")
"""

from importlib import import_module
from typing import TYPE_CHECKING

from seqlens._version import __version__

if TYPE_CHECKING:
    from seqlens.inference.loading import load
    from seqlens.workflows.evaluation import evaluate
    from seqlens.workflows.train import train

__all__ = ["__version__", "evaluate", "load", "train"]

_HOMES = {
    "evaluate": "seqlens.workflows.evaluation",
    "load": "seqlens.inference.loading",
    "train": "seqlens.workflows.train",
}


def __getattr__(name: str) -> object:
    # torch takes a second to import, which `seqlens --help` and `import seqlens` need not wait for.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'seqlens' has no attribute '{name}'")
