"""A trained model as a person uses it: raw inputs in, typed answers out."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, final, overload

import torch

from seqlens.config import parse_config, to_plain
from seqlens.data.codecs.marks import with_tag
from seqlens.data.documents import check_context, document_chunks
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError
from seqlens.inference.checks import Checksums, PoolLock, check_at_least_one, checksums
from seqlens.inference.demands import Constraints, Prefix, read_demands
from seqlens.inference.kept_stepper import KeptStepper
from seqlens.inference.rerank import Reranker, widened
from seqlens.inference.run_folder import LoadedRun, read_run
from seqlens.inference.workers import Work, WorkerPool
from seqlens.tasks.transduce.answer import Translation
from seqlens.tasks.transduce.streams import draw_streams


@final
class Predictor:
    """A loaded run. `model` is a plain `nn.Module`, `task` holds codecs and settings, `record` is `run.json`.

    `others` are the runs that answer together with it, as an ensemble.
    """

    def __init__(self, run: LoadedRun, *, device: torch.device | str = "cpu") -> None:
        self.path = run.path
        self.record = run.record
        self.task = run.task
        self.model = run.model.to(device)
        self._pool: WorkerPool | None = None
        self._stored: Checksums = {}
        self._lock = PoolLock()
        self._stepper = KeptStepper()
        self.others: tuple[Predictor, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """Those that can stand before an input: of all runs that answer together."""
        return tuple(dict.fromkeys(tag for one in (self, *self.others) for tag in one.task.source_codec.tags))

    def joined_by(self, others: Sequence["Predictor"]) -> "Predictor":
        """A predictor that answers with other runs together, on this one's device; see `load`.

        Raises:
            RequestError: a run writes with another vocabulary, or reads another number of sentences of context.
        """
        fingerprint = self.task.target_codec.fingerprint
        for other in others:
            found = other.task.target_codec.fingerprint
            if found != fingerprint:
                raise RequestError(
                    f"{other.path} writes with another vocabulary than {self.path} (fingerprints {found[:8]} and "
                    f"{fingerprint[:8]}), so they cannot answer together; give it the same target codec in training."
                )
        joined = copy(self)
        device = self.model.output.weight.device
        joined.others = (*self.others, *(one for other in others for one in (other, *other.others)))
        for other in joined.others:
            other.model.to(device)
        joined._pool, joined._lock = None, PoolLock()
        reading = joined._reading_context()
        if len(reading) > 1:
            (few, one), (more, another), *_ = sorted(reading.items(), key=lambda item: item[0])
            raise RequestError(
                f"{one.path} reads {few} sentences of context and {another.path} {more}, so they cannot answer "
                "together; give them the same 'context' in training."
            )
        return joined

    @overload
    def predict(
        self,
        inputs: str,
        *,
        batch_size: int = 64,
        tag: str | None = None,
        workers: int = 1,
        align: bool = True,
        prefix: Prefix = None,
        constraints: Constraints = None,
        reranker: Reranker | None = None,
        seen: Counter[str] | None = None,
        progress: Callable[[int], None] | None = None,
        **decoding: Any,
    ) -> Translation: ...
    @overload
    def predict(
        self,
        inputs: Sequence[str],
        *,
        batch_size: int = 64,
        tag: str | None = None,
        workers: int = 1,
        align: bool = True,
        prefix: Prefix = None,
        constraints: Constraints = None,
        reranker: Reranker | None = None,
        seen: Counter[str] | None = None,
        progress: Callable[[int], None] | None = None,
        **decoding: Any,
    ) -> list[Translation]: ...
    def predict(
        self,
        inputs: str | Sequence[str],
        *,
        batch_size: int = 64,
        tag: str | None = None,
        workers: int = 1,
        align: bool = True,
        prefix: Prefix = None,
        constraints: Constraints = None,
        reranker: Reranker | None = None,
        seen: Counter[str] | None = None,
        progress: Callable[[int], None] | None = None,
        **decoding: Any,
    ) -> Translation | list[Translation]:
        """Answers one input, or a list for a list, in its order.

        Args:
            inputs: a text or texts; an empty one gets an empty answer.
            batch_size: inputs answered at a time; answers do not depend on it.
            tag: put before each input as in training: the direction or domain, such as `2fr`.
            workers: processes that answer batches side by side, one thread each, on the CPU; the first call that asks
                for several starts them, which takes some seconds, and they stay until `close`. Answers do not depend
                on it.
            align: whether answers have an alignment, which takes time of its own.
            prefix: text that answers begin with, one for all or one for each input (see `Demand` for what holds).
            constraints: phrases that must stand in answers, for all or a list for each input; beam search only.
            reranker: puts the answers of the whole beam in an order of its own; `num_best` are then returned.
            seen: of several calls that belong together, what they have answered so far: it is added to, and sampling
                draws anew for an input that was there before. By default each call is for itself.
            progress: told after each batch how many inputs it had; with several workers on threads of their own.
            decoding: settings of `DecodingConfig` that differ from the run's, such as `beam_width=1`.

        Raises:
            RequestError: an unknown setting or tag, an input that is no text, a prefix or constraints that no answer
                can have, or several workers where there cannot be any: for a model that is not on the CPU or was
                changed since it was loaded, for several runs, prefixes and constraints. WorkError: a worker died.
        """
        check_at_least_one(batch_size=batch_size, workers=workers)
        texts = [inputs] if isinstance(inputs, str) else _read_texts(inputs)
        if tag is not None:
            texts = with_tag(texts, tag, self.tags)
        demands = read_demands(prefix, constraints, len(texts))
        asked = self.search_settings(decoding)
        config = asked if reranker is None else widened(asked)
        streams = draw_streams(texts, seen) if config.method == "sample" else None
        if workers == 1:
            others = [(other.task, other.model) for other in self.others]
            kept = {id(one.model): one._stepper for one in (self, *self.others)}
            answers = self.task.predict(
                self.model,
                texts,
                config,
                batch_size=batch_size,
                align=align,
                demands=demands,
                others=others,
                streams=streams,
                make_stepper=lambda model, precision: kept[id(model)](model, precision),
                progress=progress,
            )
        elif demands is not None or self.others:
            raise RequestError(
                f"'workers' is {workers}, but prefixes, constraints and several runs are for one process alone."
            )
        else:
            answers = self._side_by_side(texts, config, batch_size, workers, align, streams, progress)
        if reranker is not None:
            answers = reranker.rerank(texts, answers, length_penalty=config.length_penalty)
            answers = [replace(one, alternatives=one.alternatives[: asked.num_best - 1]) for one in answers]
        return answers[0] if isinstance(inputs, str) else answers

    def _side_by_side(
        self,
        texts: list[str],
        config: DecodingConfig,
        batch_size: int,
        workers: int,
        align: bool,
        streams: list[int] | None,
        progress: Callable[[int], None] | None,
    ) -> list[Translation]:
        """The batches of one process, each answered whole by some worker: so its answers are the same, bit for bit."""
        device = self.model.output.weight.device
        if device.type != "cpu":
            raise RequestError(f"'workers' is {workers}, but the model is on {device.type}: workers are for the CPU.")
        # Loading need not wait for what only workers want to know.
        self._stored = self._stored or checksums(read_run(self.path).model)
        if checksums(self.model) != self._stored:
            raise RequestError(
                f"'workers' is {workers}, but the model's weights were changed since it was loaded, "
                f"and workers read them from {self.path}."
            )
        plan = self.task.plan_batches(self.model, texts, batch_size)
        work = [
            Work(
                [texts[number] for number in numbers],
                batch_size,
                config,
                align,
                None if streams is None else [streams[number] for number in numbers],
            )
            for numbers in plan
        ]
        with self._lock:  # who else asks at the same time would be given these answers
            if self._pool is None or self._pool.closed or self._pool.count != workers:
                self.close()
                self._pool = WorkerPool(self.path, workers, self._stored)
            found = self._pool.answer(work, progress)
        answers = [Translation("", 0.0, 0.0) for _ in texts]
        for numbers, batch in zip(plan, found, strict=True):
            for number, answer in zip(numbers, batch, strict=True):
                answers[number] = answer
        return answers

    def close(self) -> None:
        """Ends the workers, if there are any; the next call that wants some starts them anew."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def predict_document(
        self, sentences: Sequence[str], *, batch_size: int = 64, tag: str | None = None, **decoding: Any
    ) -> list[Translation]:
        """Answers the sentences of a document, each with as many before it as the run was trained with.

        An empty sentence ends a document, as an empty line does for `seqlens predict --document`.

        Raises:
            RequestError: as `predict`, or the run was trained on single sentences.
        """
        if isinstance(sentences, str):
            raise RequestError("The document is one text, expected a list of its sentences.")
        (marked,) = document_chunks([_read_texts(sentences)], self.context_sentences())
        return self.predict(marked, batch_size=batch_size, tag=tag, **decoding)

    def context_sentences(self) -> int:
        """How many sentences of context the run was trained with.

        Raises:
            RequestError: none.
        """
        return check_context(max(self._reading_context(), default=None), self.path)

    def _reading_context(self) -> dict[int, "Predictor"]:
        """By how many sentences of context they read, the runs that read any."""
        counts = {one.record.get("data", {}).get("context_sentences") or 0: one for one in (self, *self.others)}
        return {count: one for count, one in counts.items() if count}

    def search_settings(self, changes: Mapping[str, Any]) -> DecodingConfig:
        """The run's own settings of the search with these changes.

        Raises:
            RequestError: there is no such setting, or its value is not as it must be.
        """
        if not changes:
            return self.task.config.decoding
        return parse_config(DecodingConfig, {**to_plain(self.task.config.decoding), **changes}, where="predict")


def _read_texts(inputs: object) -> list[str]:
    """The texts of a list; raises a RequestError for what is none."""
    if not isinstance(inputs, Iterable):
        raise RequestError(f"The input is {type(inputs).__name__}, expected a text or a list of texts.")
    texts = list(inputs)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise RequestError(f"Input {number} is {type(text).__name__}, expected text.")
    return texts
