"""Decoding with a Transformer beside CTranslate2 and MarianMT (under `transformers`) with the same weights."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.speed.decoding_peers import (
    Shape,
    convert_to_ctranslate2,
    convert_to_marian,
    make_model,
    make_task,
    make_texts,
    need_peers,
)
from benchmarks.speed.decoding_systems import Answer, CTranslate2, Marian, Ours, Search, Setting, System, precisions
from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.timing import Times, interleave, ratio
from seqlens.inference import load_transducer, write_run

SHAPE, QUICK_SHAPE = Shape(), Shape(layers=1, width=16, inner=32, heads=2, vocabulary=64)
SENTENCES, QUICK_SENTENCES = 1000, 12
LENGTH, QUICK_LENGTH = 20, 4
SAMPLE = 256
"""Sentences on which the fastest setting is looked for."""
ROUNDS = 5
SAME = 0.99
"""The share of answers that must be the same, in float32."""
TOLERANCE = 1e-4
"""Of a log-probability, as a share of it."""


class _Bars(NamedTuple):
    """How many times as fast as each peer ours is to be."""

    peer: str
    precision: str
    bar: float | None


def measure(*, quick: bool) -> Result:
    """Asserts equal answers before it times anything.

    Raises:
        RequestError: a peer is not installed.
    """
    need_peers()
    shape = QUICK_SHAPE if quick else SHAPE
    figures: list[Figure] = []
    facts: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as opened:
        systems = {system.name: system for system in _open(Path(scratch), shape, quick)}
        for system in systems.values():
            opened.enter_context(closing(system))
        for width in (1, 5):
            search = Search(width, QUICK_LENGTH if quick else LENGTH)
            name = "greedy" if width == 1 else f"beam {width}"
            first = {
                # Quick: in one process where that can be.
                system.name: system.settings(search)[0]._replace(workers=1) if quick else system.settings(search)[0]
                for system in systems.values()
            }
            agreement = _assert_equal(systems, search, first)
            chosen = first if quick else {system.name: _fastest(system, search) for system in systems.values()}
            times = interleave(
                {system.name: _runs(system, search, chosen[system.name]) for system in systems.values()},
                rounds=1 if quick else ROUNDS,
            )
            figures += _figures(name, times, search.length * (QUICK_SENTENCES if quick else SENTENCES))
            facts[f"{name}, equality"] = agreement
            facts[f"{name}, settings"] = "; ".join(f"{system}: {setting}" for system, setting in chosen.items())
    facts["what"] = (
        f"{shape}, weights random, the same for all; {SENTENCES:,} sentences of 4 to 40 symbols, outputs of exactly "
        f"{LENGTH}; {ROUNDS} interleaved rounds after the fastest of some settings was looked for on {SAMPLE} "
        "sentences; ours from text to text, loaded workers; peers from ids to ids"
    )
    return Result(name="decoding", title="Decoding", figures=tuple(figures), facts=facts)


def _open(scratch: Path, shape: Shape, quick: bool) -> list[System]:
    task = make_task(shape)
    model = make_model(task)
    texts = make_texts(task, QUICK_SENTENCES if quick else SENTENCES)
    write_run(scratch / "ours", task, model, {"data": {}})
    sources = task.encode_sources(model, texts)[0]
    size = task.source_codec.size
    plain = convert_to_ctranslate2(model, scratch / "float32", quantization=None)
    small = convert_to_ctranslate2(model, scratch / "int8", quantization="int8")
    convert_to_marian(model, shape).save_pretrained(scratch / "marian")
    # Each its own predictor, since each keeps its workers.
    return [
        *(Ours(load_transducer(scratch / "ours", device="cpu"), texts, precision) for precision in precisions()),
        CTranslate2(plain, sources, size, "float32"),
        CTranslate2(small, sources, size, "int8"),
        Marian(scratch / "marian", sources),
    ]


def _assert_equal(systems: dict[str, System], search: Search, settings: dict[str, Setting]) -> str:
    """Compares all answers with ours in float32.

    Raises:
        AssertionError: a float32 peer answers differently.
    """
    answers = {name: system.answer(search, settings[name]) for name, system in systems.items()}
    ours = answers.pop("ours, float32")
    if any(len(answer.tokens) != search.length for answer in ours):
        raise AssertionError(f"ours do not all have {search.length} symbols")
    found = []
    for name, theirs in answers.items():
        same = [mine.tokens == other.tokens for mine, other in zip(ours, theirs, strict=True)]
        share = sum(same) / len(same)
        worst = max((_difference(*pair) for pair, equal in zip(zip(ours, theirs), same) if equal), default=0.0)
        exact = name.endswith("float32")
        if exact and (share < SAME or worst > TOLERANCE):
            raise AssertionError(
                f"{search}: {name} gives {share:.1%} of our answers, log-probabilities off by {worst:.1e}"
            )
        found.append(f"{name}: {share:.1%} of the answers the same" + (f", log-probability to {worst:.0e}" * exact))
    return f"{'; '.join(found)} (float32: asserted ≥ {SAME:.0%} and ≤ {TOLERANCE:g})"


def _difference(mine: Answer, other: Answer) -> float:
    if mine.log_prob is None or other.log_prob is None:
        return 0.0
    return abs(mine.log_prob - other.log_prob) / max(abs(other.log_prob), 1.0)


def _runs(system: System, search: Search, setting: Setting, count: int | None = None) -> Callable[[], object]:
    return lambda: system.answer(search, setting, count)


def _fastest(system: System, search: Search) -> Setting:
    """Tries settings one after the other, since each change of workers starts them anew."""
    seconds = {
        setting: interleave({"it": _runs(system, search, setting, SAMPLE)}, rounds=2)["it"].low
        for setting in _grouped(system.settings(search))
    }
    return min(seconds, key=lambda setting: seconds[setting])


def _grouped(settings: Sequence[Setting]) -> list[Setting]:
    return sorted(settings, key=lambda setting: (setting.workers, setting.threads))


def _figures(name: str, times: dict[str, Times], tokens: int) -> list[Figure]:
    bars = (
        _Bars("MarianMT, float32", "float32", None),
        _Bars("MarianMT, float32", "bfloat16", 3.0),
        _Bars("CTranslate2, float32", "float32", None),
        _Bars("CTranslate2, float32", "bfloat16", 1.0),
        _Bars("CTranslate2, int8", "bfloat16", None),
        _Bars("MarianMT, float32", "int8", 3.0),
        _Bars("CTranslate2, float32", "int8", 1.0),
        _Bars("CTranslate2, int8", "int8", 1.0),
    )
    figures = []
    for peer, precision, bar in (one for one in bars if one.precision in precisions()):
        faster = ratio(times[peer], times[f"ours, {precision}"])
        figures.append(
            Figure(
                name=f"{name}: time of {peer} over ours in {precision}",
                value=faster.median,
                unit="×",
                low=faster.low,
                high=faster.high,
                bar=bar,
                better="higher",
            )
        )
    for system, taken in times.items():
        figures.append(
            Figure(
                name=f"{name}: {system}",
                value=tokens / taken.median,
                unit="tokens/s",
                low=tokens / taken.high,
                high=tokens / taken.low,
                better="higher",
            )
        )
    return figures
