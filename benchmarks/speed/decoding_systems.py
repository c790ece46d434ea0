"""The systems that the benchmark of decoding sets beside each other, all answering the same texts."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, final

import torch

from benchmarks.speed.decoding_peers import token_names
from seqlens.data.batch import pad
from seqlens.inference import Predictor
from seqlens.layers.int8 import has_int8_products


@final
@dataclass(frozen=True, slots=True)
class Search:
    """How all systems search: so many symbols exactly, by a beam of that width; 1 is greedy search."""

    width: int
    length: int


class Setting(NamedTuple):
    """What a system may choose for speed: inputs at a time, and what works side by side."""

    batch: int
    workers: int
    threads: int = 1

    def __str__(self) -> str:
        by = f"{self.workers} {'worker' if self.workers == 1 else 'workers'}"
        return f"batch {self.batch}, {by} of {self.threads} {'thread' if self.threads == 1 else 'threads'}"


class Answer(NamedTuple):
    """Ids of an answer, and the log-probability that the system gives it, if it tells."""

    tokens: tuple[int, ...]
    log_prob: float | None


class System(Protocol):
    """A way to answer all sources."""

    name: str

    def settings(self, search: Search) -> Sequence[Setting]:
        """Those among which the fastest is looked for."""

    def answer(self, search: Search, setting: Setting, count: int | None = None) -> list[Answer]:
        """Answers the first `count` sources, or all."""

    def close(self) -> None:
        """Ends the processes."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def precisions() -> tuple[str, ...]:
    """Those of our searches here; the last needs units of the processor."""
    return ("float32", "bfloat16", "int8") if has_int8_products("cpu") else ("float32", "bfloat16")


@final
class Ours:
    """`Predictor.predict`, text in and text out, in one precision."""

    def __init__(self, predictor: Predictor, texts: Sequence[str], precision: str) -> None:
        self.name = f"ours, {precision}"
        self._predictor, self._texts, self._precision = predictor, list(texts), precision

    def settings(self, search: Search) -> Sequence[Setting]:
        sizes = (64, 96, 128, 250) if search.width == 1 else (16, 32, 64)
        return [Setting(size, cores()) for size in sizes]

    def answer(self, search: Search, setting: Setting, count: int | None = None) -> list[Answer]:
        found = self._predictor.predict(
            self._texts[:count],
            batch_size=setting.batch,
            workers=setting.workers,
            align=False,
            method="greedy" if search.width == 1 else "beam",
            beam_width=search.width,
            # No output ends before the last symbol, which the end itself cannot be: see `NEVER`.
            min_length=search.length,
            max_length=search.length,
            precision=self._precision,
        )
        codec = self._predictor.task.target_codec
        return [Answer(tuple(codec.encode(answer.text)), answer.log_prob) for answer in found]

    def close(self) -> None:
        self._predictor.close()


@final
class CTranslate2:
    """Its `Translator`, with ids already spelt as it wants them."""

    def __init__(self, folder: Path, sources: Sequence[Sequence[int]], vocabulary: int, compute_type: str) -> None:
        self.name = f"CTranslate2, {compute_type}"
        names = token_names(vocabulary)
        self._folder, self._compute_type = folder, compute_type
        self._sources = [[names[token] for token in source] for source in sources]
        self._ids = {name: token for token, name in enumerate(names)}
        self._translator: tuple[tuple[int, int], Any] | None = None

    def settings(self, search: Search) -> Sequence[Setting]:
        sizes = (16, 32, 64, 128) if search.width == 1 else (8, 16, 32, 64)
        return [*(Setting(size, cores()) for size in sizes), Setting(sizes[1], 1, cores())]

    def answer(self, search: Search, setting: Setting, count: int | None = None) -> list[Answer]:
        found = self._opened(setting).translate_batch(
            self._sources[:count],
            max_batch_size=setting.batch,
            beam_size=search.width,
            min_decoding_length=search.length,
            max_decoding_length=search.length,
            length_penalty=0,
            return_scores=True,
        )
        return [Answer(tuple(self._ids[name] for name in answer.hypotheses[0]), answer.scores[0]) for answer in found]

    def _opened(self, setting: Setting) -> Any:
        import ctranslate2

        wanted = (setting.workers, setting.threads)
        if self._translator is None or self._translator[0] != wanted:
            opened = ctranslate2.Translator(
                str(self._folder),
                compute_type=self._compute_type,
                inter_threads=setting.workers,
                intra_threads=setting.threads,
            )
            self._translator = (wanted, opened)
        return self._translator[1]

    def close(self) -> None:
        self._translator = None


@final
class Marian:
    """`generate` of `transformers`, over batches of like length, in processes of their own."""

    def __init__(self, folder: Path, sources: Sequence[Sequence[int]]) -> None:
        self.name = "MarianMT, float32"
        self._folder, self._sources = folder, [list(source) for source in sources]
        self._pool: tuple[tuple[int, int], ProcessPoolExecutor] | None = None

    def settings(self, search: Search) -> Sequence[Setting]:
        sizes = (64, 96, 128, 250) if search.width == 1 else (16, 32, 64)
        return [*(Setting(size, cores()) for size in sizes), Setting(sizes[1], 1, cores())]

    def answer(self, search: Search, setting: Setting, count: int | None = None) -> list[Answer]:
        sources = self._sources[:count]
        order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
        plan = [order[first : first + setting.batch] for first in range(0, len(order), setting.batch)]
        batches = [[sources[number] for number in numbers] for numbers in plan]
        answers = [Answer((), None) for _ in sources]
        found = self._opened(setting).map(generate, batches, [search] * len(batches))
        for numbers, batch in zip(plan, found, strict=True):
            for number, tokens in zip(numbers, batch, strict=True):
                answers[number] = Answer(tokens, None)
        return answers

    def _opened(self, setting: Setting) -> ProcessPoolExecutor:
        wanted = (setting.workers, setting.threads)
        if self._pool is None or self._pool[0] != wanted:
            self.close()
            pool = ProcessPoolExecutor(
                setting.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=open_marian,
                initargs=(str(self._folder), setting.threads),
            )
            self._pool = (wanted, pool)
        return self._pool[1]

    def close(self) -> None:
        if self._pool is not None:
            self._pool[1].shutdown()
            self._pool = None


_opened_marian: list[Any] = []  # of a process of `Marian`, and of none else


def open_marian(folder: str, threads: int) -> None:
    """Loads the model, in a process that will `generate`."""
    from transformers import MarianMTModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    _opened_marian.append(MarianMTModel.from_pretrained(folder).eval())


def generate(batch: list[list[int]], search: Search) -> list[tuple[int, ...]]:
    """Answers one batch."""
    source = pad(batch)
    with torch.inference_mode():
        found = _opened_marian[0].generate(
            input_ids=source.ids,
            attention_mask=source.mask().long(),
            num_beams=search.width,
            do_sample=False,
            min_new_tokens=search.length,
            max_new_tokens=search.length,
            **({} if search.width == 1 else {"length_penalty": 0.0}),
        )
    return [tuple(row[1:]) for row in found.tolist()]
