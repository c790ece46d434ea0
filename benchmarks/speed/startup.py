"""What a person waits for before anything happens: `import seqlens`, `seqlens --help`."""

from collections.abc import Callable

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.process import run_python
from benchmarks.speed.timing import Times, interleave

IMPORT_BAR = 0.2
HELP_BAR = 0.5
ROUNDS = 15

_COMMANDS = {
    "python": ("-c", "pass"),
    "torch": ("-c", "import torch"),
    "torch, seqlens": ("-c", "import torch, seqlens"),
    "torch, seqlens.train": ("-c", "import torch, seqlens; seqlens.train; seqlens.evaluate; seqlens.load"),
    "seqlens": ("-c", "import seqlens"),
    "help": ("-m", "seqlens", "--help"),
}


def measure(*, quick: bool) -> Result:
    """Times whole processes, interleaved, the first round not counted (it fills the file cache)."""
    rounds = 1 if quick else ROUNDS
    times = interleave(
        {name: _runner(arguments) for name, arguments in _COMMANDS.items()}, rounds=rounds, warmup=0 if quick else 1
    )
    figures = (
        _over("`import seqlens` over `import torch`", times["torch, seqlens"], times["torch"], bar=IMPORT_BAR),
        _over("`seqlens.train` and all behind it, over `import torch`", times["torch, seqlens.train"], times["torch"]),
        _over("`import seqlens` alone, over an empty Python", times["seqlens"], times["python"]),
        _whole("`seqlens --help`, whole process", times["help"], bar=HELP_BAR),
        _whole("`import torch`, whole process", times["torch"]),
        _whole("an empty Python", times["python"]),
    )
    facts = {
        "how": f"wall time of fresh processes in {rounds} interleaved rounds; a difference is taken within each round, "
        "and its median told; `seqlens --help` runs as `python -m seqlens --help`"
    }
    return Result(name="startup", title="Startup", figures=figures, facts=facts)


def _runner(arguments: tuple[str, ...]) -> Callable[[], None]:
    def run() -> None:
        run_python(arguments)

    return run


def _over(name: str, more: Times, less: Times, *, bar: float | None = None) -> Figure:
    pairs = zip(more.seconds, less.seconds, strict=True)
    differences = Times(tuple(one - other for one, other in pairs))
    return _whole(name, differences, bar=bar)


def _whole(name: str, times: Times, *, bar: float | None = None) -> Figure:
    return Figure(name=name, value=times.median, unit="s", low=times.low, high=times.high, bar=bar)
