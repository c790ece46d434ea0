"""The task `transduce`: its loss, its scores while training, its answers."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Int

from seqlens.config.files import read_json, write_json
from seqlens.data.batch import PairBatch
from seqlens.data.codecs.marks import BREAK, readable_marks
from seqlens.data.copying import number_source, number_target
from seqlens.data.examples import Pair
from seqlens.data.text import END_ID, UNKNOWN_ID, TextCodec, UnknownPiece, fit_codec, load_codec
from seqlens.decoding import DecodingConfig, Hypothesis
from seqlens.errors import WorkError
from seqlens.models.stepping import MakeStepper, build_stepper
from seqlens.models.transducer import Transducer, build_transducer
from seqlens.tasks.loss_sum import LossSum
from seqlens.tasks.transduce.answer import Alignment, Translation
from seqlens.tasks.transduce.batches import plan_batches
from seqlens.tasks.transduce.config import SeparateCodecs, SharedCodec, TransduceConfig
from seqlens.tasks.transduce.demands import Demand, EncodedDemand, encode_demand
from seqlens.tasks.transduce.pair_loss import pair_loss, shift_right
from seqlens.tasks.transduce.positions import cut, cut_source, shortened_context, without_context
from seqlens.tasks.transduce.search import Member, Search
from seqlens.tasks.transduce.streams import draw_streams


@dataclass(frozen=True, slots=True)
class OutputLimit:
    """How long an output may become: `ratio` times the input's tokens, and `extra` more, the end included.

    With `sentence_only` context before the input does not count; runs of earlier versions counted it.
    """

    ratio: float = 2.0
    extra: int = 10
    sentence_only: bool = False

    @classmethod
    def of(cls, lengths: Int[np.ndarray, "pairs 2"]) -> "OutputLimit":
        """Half as much again as 99.9 % of the training pairs need."""
        if not len(lengths):
            return cls()
        ratios = lengths[:, 1] / np.maximum(lengths[:, 0], 1)
        return cls(ratio=round(1.5 * float(np.quantile(ratios, 0.999)), 3))

    def of_length(self, source_length: int) -> int:
        """The largest number of output tokens for an input of so many."""
        return math.ceil(self.ratio * source_length) + self.extra


@final
@dataclass(frozen=True, slots=True)
class TransduceTask:
    """A fitted task: settings, the codec of each side, the limit on outputs. Models are passed in, never held."""

    config: TransduceConfig
    source_codec: TextCodec
    target_codec: TextCodec
    output_limit: OutputLimit = OutputLimit()

    @classmethod
    def fit(cls, config: TransduceConfig, read_pairs: Callable[[], Iterable[Pair]]) -> "TransduceTask":
        """Fits the codecs on training pairs, read once for each codec."""

        def sources() -> Iterator[str]:
            return (pair.source for pair in read_pairs())

        def targets() -> Iterator[str]:
            return (pair.target or "" for pair in read_pairs())

        match config.codec:
            case SharedCodec(text=text):
                both = (side for pair in read_pairs() for side in (pair.source, pair.target or ""))
                codec = fit_codec(text, both)
                return cls(config, codec, codec)
            case SeparateCodecs(source=source, target=target):
                return cls(config, fit_codec(source, sources()), fit_codec(target, targets()))

    def with_output_limit(
        self, lengths: Int[np.ndarray, "pairs 2"], sources: Iterable[Sequence[int]] = ()
    ) -> "TransduceTask":
        """The task with its limit on outputs taken from the lengths of training pairs, and their sources' ids.

        Those matter where there is context, most of which answers do not repeat.
        """
        if BREAK not in self.source_codec.tags:
            return replace(self, output_limit=OutputLimit.of(lengths))
        own = np.fromiter((len(without_context(ids, self.source_codec)) for ids in sources), np.int64, len(lengths))
        limit = OutputLimit.of(np.stack([own, lengths[:, 1]], axis=1))
        return replace(self, output_limit=replace(limit, sentence_only=True))

    def longest_answer(self, source_ids: Sequence[int]) -> int:
        """The largest number of tokens of an answer, the end included, to a source of these ids."""
        counted = without_context(source_ids, self.source_codec) if self.output_limit.sentence_only else source_ids
        return self.output_limit.of_length(len(counted))

    def save(self, folder: Path) -> None:
        """Writes codecs and limit; the settings stand in the run's `task.yaml`."""
        if self.target_codec is self.source_codec:
            self.source_codec.save(folder / "shared")
        else:
            self.source_codec.save(folder / "source")
            self.target_codec.save(folder / "target")
        write_json(folder / "output_limit.json", asdict(self.output_limit))

    @classmethod
    def load(cls, config: TransduceConfig, folder: Path) -> "TransduceTask":
        """Reads what `save` wrote.

        Raises:
            WorkError: a file is missing or damaged.
        """
        limit = read_json(folder / "output_limit.json")
        try:
            output_limit = OutputLimit(
                float(limit["ratio"]), int(limit["extra"]), bool(limit.get("sentence_only", False))
            )
        except (KeyError, TypeError, ValueError) as error:
            path = folder / "output_limit.json"
            raise WorkError(f"{path} is damaged: expected the numbers 'ratio' and 'extra'.") from error
        if config.codec.kind == "shared":
            codec = load_codec(folder / "shared")
            return cls(config, codec, codec, output_limit)
        return cls(config, load_codec(folder / "source"), load_codec(folder / "target"), output_limit)

    def build_model(self) -> Transducer:
        """A model with fresh weights for this task's vocabularies."""
        sizes = {"source_size": self.source_codec.size, "target_size": self.target_codec.size}
        return build_transducer(self.config.model, **sizes, unknown_id=UNKNOWN_ID)

    @property
    def copies(self) -> bool:
        """Whether unknown words of a source have ids of their own, since they can be copied."""
        return self.config.model.copy

    def loss_at(self, step: int) -> Callable[[Transducer, PairBatch], LossSum]:
        """The loss of a training step, from 1: with scheduled sampling it depends on how far training is."""
        return lambda model, batch: self.loss(model, batch, step=step)

    def loss(self, model: Transducer, batch: PairBatch, *, step: int | None = None) -> LossSum:
        """Cross-entropy of every target token, `<end>` included; `parts["nll"]` is it without label smoothing.

        `step` is that of the training, if it is one: without it the decoder reads true tokens only.
        """
        return pair_loss(self.config, model, batch, step)

    def token_log_probs(self, model: Transducer, batch: PairBatch) -> list[list[float]]:
        """The natural log-probability of every target token under the model, `<end>` included, by row."""
        assert batch.target is not None
        with torch.no_grad():
            output = model(batch.source.ids, batch.source.lengths, shift_right(batch.target.ids), batch.target.lengths)
            log_probs = torch.log_softmax(output.logits.float(), dim=2)
            chosen = log_probs.gather(2, batch.target.ids[:, :, None])[:, :, 0]
        rows = zip(chosen.tolist(), batch.target.lengths.tolist(), strict=True)
        return [row[:length] for row, length in rows]

    def fit_positions(self, model: Transducer, batch: PairBatch) -> PairBatch:
        """The batch cut where the model's learned positions end; the same batch where they do not matter."""
        source = cut_source(batch.source, model.max_source_length, self.source_codec)
        target = None if batch.target is None else cut(batch.target, model.max_target_length)
        if self.copies and target is not None and source is not batch.source:
            # A word that was cut off the source cannot be copied.
            lost = (target.ids[:, :, None] == source.ids[:, None]).any(2).logical_not_()
            lost &= target.ids >= self.source_codec.size
            target = target._replace(ids=target.ids.masked_fill(lost, UNKNOWN_ID))
        return PairBatch(source, target, batch.indices)

    def encode_pair(self, source: str, target: str) -> tuple[list[int], list[int]]:
        """Ids of both sides of a pair, `<end>` last."""
        source_ids, target_ids = self.source_codec.encode(source), self.target_codec.encode(target)
        if self.copies:
            source_ids, unknown = number_source(self.source_codec, source, source_ids)
            target_ids = number_target(self.target_codec, target, target_ids, unknown)
        return [*source_ids, END_ID], [*target_ids, END_ID]

    def unknown_words(self, source: str) -> tuple[UnknownPiece, ...]:
        """The words of a source that can be copied though the vocabulary lacks them, in the order of their ids."""
        if not self.copies:
            return ()
        return number_source(self.source_codec, source, self.source_codec.encode(source))[1]

    def words_to_copy(self, source: str, ids: Sequence[int]) -> tuple[UnknownPiece, ...]:
        """Those of `unknown_words` that are among the ids read of a source; in place of others nothing."""
        there = set(ids)
        words = enumerate(self.unknown_words(source), self.source_codec.size)
        # A word that was cut off cannot be copied.
        return tuple(word if id in there else UnknownPiece("") for id, word in words)

    def encode_sources(self, model: Transducer, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Ids of every text with its `<end>`, cut where learned positions end, and which were cut.

        Context that does not fit is left out, the farthest sentence first, and is no cut.
        """
        encoded = [[*ids, END_ID] for ids in self.source_codec.encode_batch(list(texts))]
        if self.copies:
            encoded = [number_source(self.source_codec, text, ids)[0] for text, ids in zip(texts, encoded, strict=True)]
        limit = model.max_source_length
        if limit is not None:
            encoded = [shortened_context(ids, limit, self.source_codec) for ids in encoded]
        truncated = [limit is not None and len(ids) > limit for ids in encoded]
        cut = [[*ids[: limit - 1], END_ID] if too_long and limit else ids for ids, too_long in zip(encoded, truncated)]
        return cut, truncated

    def plan_batches(self, model: Transducer, texts: Sequence[str], batch_size: int) -> list[list[int]]:
        """The batches of `predict`, as numbers of texts; empty texts are in none."""
        return plan_batches(texts, self.encode_sources(model, texts)[0], batch_size)

    def predict(
        self,
        model: Transducer,
        texts: Sequence[str],
        decoding: DecodingConfig | None = None,
        *,
        batch_size: int = 64,
        align: bool = True,
        demands: Sequence[Demand] | None = None,
        others: Sequence[tuple["TransduceTask", Transducer]] = (),
        streams: Sequence[int] | None = None,
        make_stepper: MakeStepper = build_stepper,
        progress: Callable[[int], None] | None = None,
    ) -> list[Translation]:
        """Answers for texts, in their order; texts of like length share a batch. An empty text has an empty answer.

        Without `align` answers have no alignment, which takes time of its own. `demands` say for each text what its
        answers must hold. With `others`, of the same target codec, an answer is that of all models together. `streams`
        are the numbers of the texts' random draws, by default those of `draw_streams`. `make_stepper` may keep what it
        makes, if the weights do not change between calls. `progress` is told of each batch how many texts it had.

        Raises:
            RequestError: a demand cannot be met.
        """
        tasks = [self, *(task for task, _ in others)]
        models = [model, *(other for _, other in others)]
        # Together with one that reads them, a model without tags or context reads the text alone.
        seen_by = [readable_marks(texts, task.source_codec.tags) if others else texts for task in tasks]
        read = [task.encode_sources(own, seen) for task, own, seen in zip(tasks, models, seen_by, strict=True)]
        members = [
            Member(own, encoded, [task.longest_answer(ids) for ids in encoded])
            for task, own, (encoded, _) in zip(tasks, models, read, strict=True)
        ]
        decoding = decoding or self.config.decoding
        target = self.target_codec
        never = range(target.size - len(target.tags), target.size)  # a vocabulary of both sides has tags, no text has
        search = Search(members, decoding, align=align, make_stepper=make_stepper, never=never)
        copying = next((task for task in tasks if task.copies), self)
        source_ids, copied_texts = read[tasks.index(copying)][0], seen_by[tasks.index(copying)]
        encoded = read[0][0]
        answers: list[Translation] = [Translation("", 0.0, 0.0) for _ in texts]
        plan = [part for numbers in plan_batches(texts, encoded, batch_size) for part in search.aligned_alike(numbers)]
        wanted: dict[int, EncodedDemand] = {}
        if demands is not None:
            for number in sorted(number for numbers in plan for number in numbers):
                unknown = copying.words_to_copy(copied_texts[number], source_ids[number])
                wanted[number] = encode_demand(self.target_codec, demands[number], unknown, number=number + 1)
                search.check(number, wanted[number])
        if streams is None and decoding.method == "sample":
            streams = draw_streams(texts)
        for numbers in plan:
            found = search.batch(
                numbers,
                None if demands is None else [wanted[number] for number in numbers],
                None if streams is None else [streams[number] for number in numbers],
            )
            for number, hypotheses in zip(numbers, found, strict=True):
                unknown = copying.unknown_words(copied_texts[number])
                truncated = any(cut[number] for _, cut in read)
                answer = self._answer(encoded[number], hypotheses, truncated, unknown)
                # A beam may spell one text in several ways; draws may well be alike.
                answers[number] = answer if decoding.method == "sample" else answer.without_doubles()
            if progress is not None:
                progress(len(numbers))
        return answers

    def _answer(
        self,
        source: list[int],
        hypotheses: list[Hypothesis],
        truncated: bool,
        unknown: tuple[UnknownPiece, ...] = (),
    ) -> Translation:
        translations = [
            Translation(
                text=self.target_codec.decode(hypothesis.tokens, unknown),
                score=hypothesis.score,
                log_prob=hypothesis.log_prob,
                truncated=truncated,
                finished=hypothesis.finished,
                alignment=self._alignment(source, hypothesis, unknown),
            )
            for hypothesis in hypotheses
        ]
        return replace(translations[0], alternatives=tuple(translations[1:]))

    def _alignment(
        self, source: list[int], hypothesis: Hypothesis, unknown: tuple[UnknownPiece, ...]
    ) -> Alignment | None:
        if hypothesis.alignment is None:
            return None
        return Alignment(
            tuple(self.source_codec.token(token, unknown) for token in source),
            tuple(self.target_codec.token(token, unknown) for token in hypothesis.tokens),
            hypothesis.alignment[:, : len(source)].float().cpu(),
            tuple(hypothesis.tokens),
        )
