"""The task `transduce`: its loss, its scores while training, its answers."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from seqlens.config.files import read_json, write_json
from seqlens.data.batch import PairBatch, Sequences, pad
from seqlens.data.examples import Pair
from seqlens.data.text import END_ID, PADDING_ID, START_ID, UNKNOWN_ID, TextCodec, fit_codec, load_codec
from seqlens.decoding import DecodingConfig, Hypothesis, StepOutput, decode
from seqlens.errors import WorkError
from seqlens.layers.vocabulary_loss import vocabulary_loss
from seqlens.models.transducer import Transducer, build_transducer
from seqlens.tasks.loss_sum import LossSum
from seqlens.tasks.transduce.answer import Alignment, Translation
from seqlens.tasks.transduce.config import SeparateCodecs, SharedCodec, TransduceConfig


@dataclass(frozen=True, slots=True)
class OutputLimit:
    """How long an output may become: `ratio` times the input's tokens, and `extra` more, the end included."""

    ratio: float = 2.0
    extra: int = 10

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

    def with_output_limit(self, lengths: Int[np.ndarray, "pairs 2"]) -> "TransduceTask":
        """The task with its limit on outputs taken from the lengths of training pairs."""
        return replace(self, output_limit=OutputLimit.of(lengths))

    def save(self, folder: Path) -> None:
        """Writes codecs and limit; the settings stand in the run's `task.yaml`."""
        if self.target_codec is self.source_codec:
            self.source_codec.save(folder / "shared")
        else:
            self.source_codec.save(folder / "source")
            self.target_codec.save(folder / "target")
        write_json(folder / "output_limit.json", {"ratio": self.output_limit.ratio, "extra": self.output_limit.extra})

    @classmethod
    def load(cls, config: TransduceConfig, folder: Path) -> "TransduceTask":
        """Reads what `save` wrote.

        Raises:
            WorkError: a file is missing or damaged.
        """
        limit = read_json(folder / "output_limit.json")
        try:
            output_limit = OutputLimit(float(limit["ratio"]), int(limit["extra"]))
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
        return build_transducer(self.config.model, **sizes)

    def loss(self, model: Transducer, batch: PairBatch) -> LossSum:
        """Cross-entropy of every target token, `<end>` included; `parts["nll"]` is it without label smoothing."""
        assert batch.target is not None
        output = model(batch.source.ids, batch.source.lengths, shift_right(batch.target.ids), batch.target.lengths)
        keep = batch.target.mask().flatten().nonzero()[:, 0]
        features = output.features.flatten(0, 1).index_select(0, keep)
        targets = batch.target.ids.flatten().index_select(0, keep)
        # Without training nothing is smoothed: the loss of validation is then its perplexity's logarithm.
        smoothing = self.config.label_smoothing if model.training else 0.0
        loss = vocabulary_loss(features, output.weight, output.bias, targets, label_smoothing=smoothing)
        return LossSum(loss.total, len(targets), {"nll": loss.nll.item()})

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
        target = None if batch.target is None else _cut(batch.target, model.max_target_length)
        return PairBatch(_cut(batch.source, model.max_source_length), target, batch.indices)

    def encode_sources(self, model: Transducer, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Ids of every text with its `<end>`, cut where learned positions end, and which were cut."""
        encoded = [[*ids, END_ID] for ids in self.source_codec.encode_batch(list(texts))]
        limit = model.max_source_length
        truncated = [limit is not None and len(ids) > limit for ids in encoded]
        cut = [[*ids[: limit - 1], END_ID] if too_long and limit else ids for ids, too_long in zip(encoded, truncated)]
        return cut, truncated

    def predict(
        self, model: Transducer, texts: Sequence[str], decoding: DecodingConfig | None = None, *, batch_size: int = 64
    ) -> list[Translation]:
        """Answers for texts, in their order; texts of like length share a batch. An empty text has an empty answer."""
        decoding = decoding or self.config.decoding
        encoded, truncated = self.encode_sources(model, texts)
        answers: list[Translation] = [Translation("", 0.0, 0.0) for _ in texts]
        asked = [number for number, text in enumerate(texts) if text.strip()]
        asked.sort(key=lambda number: -len(encoded[number]))
        for first in range(0, len(asked), batch_size):
            numbers = asked[first : first + batch_size]
            found = self._search(model, pad([encoded[number] for number in numbers]), decoding)
            for number, hypotheses in zip(numbers, found, strict=True):
                answers[number] = self._answer(encoded[number], hypotheses, truncated[number])
        return answers

    def _search(self, model: Transducer, source: Sequences, decoding: DecodingConfig) -> list[list[Hypothesis]]:
        device = model.output.weight.device
        source = source.to(device)
        bound = model.max_target_length or 2**31
        max_lengths = [min(self.output_limit.of_length(length), bound) for length in source.lengths.tolist()]
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                return decode(
                    lambda tokens, state: StepOutput(*model.step(tokens, state)),  # type: ignore[arg-type]
                    model.start(source.ids, source.lengths),
                    decoding,
                    num_groups=len(source.lengths),
                    start_id=START_ID,
                    end_id=END_ID,
                    max_lengths=max_lengths,
                    forbidden_ids=(PADDING_ID, UNKNOWN_ID, START_ID),
                    device=device,
                )
        finally:
            model.train(was_training)

    def _answer(self, source: list[int], hypotheses: list[Hypothesis], truncated: bool) -> Translation:
        translations = [
            Translation(
                text=self.target_codec.decode(hypothesis.tokens),
                score=hypothesis.score,
                log_prob=hypothesis.log_prob,
                truncated=truncated,
                finished=hypothesis.finished,
                alignment=self._alignment(source, hypothesis),
            )
            for hypothesis in hypotheses
        ]
        return replace(translations[0], alternatives=tuple(translations[1:]))

    def _alignment(self, source: list[int], hypothesis: Hypothesis) -> Alignment | None:
        if hypothesis.alignment is None:
            return None
        return Alignment(
            tuple(self.source_codec.token(token) for token in source),
            tuple(self.target_codec.token(token) for token in hypothesis.tokens),
            hypothesis.alignment[:, : len(source)].float().cpu(),
        )


def _cut(sequences: Sequences, limit: int | None) -> Sequences:
    if limit is None or sequences.ids.shape[1] <= limit:
        return sequences
    return Sequences(sequences.ids[:, :limit], sequences.lengths.clamp(max=limit))


def shift_right(targets: Int[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
    """What a decoder reads when it is to write `targets`: `<start>`, then every token but the last."""
    start = targets.new_full((len(targets), 1), START_ID)
    return torch.cat((start, targets[:, :-1]), dim=1)
