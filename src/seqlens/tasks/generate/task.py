"""The task `generate`: its loss, its measures, its answers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn

from seqlens.config import parse_config, read_json, to_plain, write_json
from seqlens.data.language.corpus import join_running
from seqlens.data.language.records import Document
from seqlens.data.text import END_ID, TextCodec, fit_codec, load_codec
from seqlens.errors import RequestError, WorkError
from seqlens.metrics import Statistics
from seqlens.models.language_model import LanguageModel, build_language_model
from seqlens.tasks.generate.answer import GeneratedText, Sample
from seqlens.tasks.generate.baselines import fit_ngrams
from seqlens.tasks.generate.carried import CarriedState
from seqlens.tasks.generate.config import GenerateConfig, SamplingConfig
from seqlens.tasks.generate.continuing import continue_text
from seqlens.tasks.generate.datasets import LineDataset, StreamDataset, TextBatch, TextDataset, TextSize
from seqlens.tasks.generate.measures import TextScore, size_of, text_measures
from seqlens.tasks.generate.prediction_file import prediction_lines
from seqlens.tasks.generate.scoring import score_lines, score_running, split_by
from seqlens.tasks.loss_sum import LossSum

_TEXT_FILE = "text.json"
_VALIDATION_STREAMS = 8
_VALIDATION_TOKENS = 8192
_LARGEST_ORDERS = {"characters": 20, "subwords": 8, "words": 6, "nucleotides": 12}


@final
@dataclass(frozen=True, slots=True)
class GenerateTask:
    """A fitted task: settings, codec, and whether it learns one running text or documents that end."""

    config: GenerateConfig
    codec: TextCodec
    running: bool

    @classmethod
    def fit(cls, config: GenerateConfig, read: Callable[[], Iterable[Document]]) -> "GenerateTask":
        """Fits the codec on training documents.

        Raises:
            RequestError: the model cannot go on for as long as a running text does.
        """
        running = any(not document.ends for document in read())
        if running and not config.has_bounded_state:
            raise RequestError(
                "A running text has no end, so a Transformer needs 'task.model.layers.window', the number of tokens "
                "that it looks back; give one, or learn from lines with 'data.unit: line'."
            )
        return cls(config, fit_codec(config.codec, (document.text for document in read())), running)

    @property
    def unit(self) -> str:
        """What the loss counts."""
        return "tokens"

    @property
    def validated(self) -> tuple[str, ...]:
        """What `validate` gives."""
        return ("loss", "bits_per_character", "perplexity")

    def save(self, folder: Path) -> None:
        self.codec.save(folder / "text")
        write_json(folder / _TEXT_FILE, {"running": self.running})

    @classmethod
    def load(cls, config: GenerateConfig, folder: Path) -> "GenerateTask":
        """Reads what `save` wrote.

        Raises:
            WorkError: a file is missing or damaged.
        """
        stored = read_json(folder / _TEXT_FILE)
        if not isinstance(stored, dict) or not isinstance(stored.get("running"), bool):
            raise WorkError(f"{folder / _TEXT_FILE} is damaged: expected 'running', true or false.")
        return cls(config, load_codec(folder / "text"), stored["running"])

    def build_model(self) -> LanguageModel:
        return build_language_model(self.config.model, vocab_size=self.codec.size)

    def describe(self) -> dict[str, str]:
        unit = f"one running text, in windows of {self.config.window} tokens" if self.running else "documents that end"
        return {
            "task": f"generate: {unit}",
            "vocabulary": f"{self.codec.size:,} symbols ({self.config.codec.kind})",
        }

    def encode(self, examples: Sequence[Document], *, training: bool, seed: int) -> TextDataset:
        """Lines as rows, a running text as windows of it.

        Raises:
            RequestError: a line is longer than learned positions reach.
        """
        rows = self.codec.encode_batch(document.text for document in examples)
        sizes = [self._size(document.text) for document in examples]
        if self.running:
            return StreamDataset(rows, sizes, window=self.config.window)
        for document, row in zip(examples, rows, strict=True):
            self._check_length(row, str(document.place or "A document"))
        return LineDataset(rows, sizes)

    def loss(self, model: nn.Module, batch: TextBatch, carried: CarriedState | None = None) -> LossSum:
        """Cross-entropy of every token, `<end>` included where there is one.

        `carried` gives the state in which the batch begins, and takes the one in which it ends.
        """
        state = None if carried is None else carried.before(batch)
        output = model(batch.inputs.ids, batch.inputs.lengths, state)
        if carried is not None:
            carried.after(output.state)
        keep = batch.inputs.mask().flatten().nonzero()[:, 0]
        targets = batch.targets.flatten().index_select(0, keep)
        loss = output.vocabulary.select(keep).loss(targets)
        return LossSum(loss.total, len(targets), {"nll": loss.nll.item()})

    def carried_state(self, model: LanguageModel) -> CarriedState | None:
        """What training carries from batch to batch: something for a running text only."""
        return CarriedState(model) if self.running else None

    def validate(self, model: nn.Module, data: Any, device: torch.device | str) -> dict[str, float]:
        """`loss`, nats a token; `bits_per_character`; `perplexity`.

        A running text is read in a few parallel parts, so that each begins without what was before it; a score is of
        the whole text in one.
        """
        assert isinstance(model, LanguageModel)
        total, count = 0.0, 0
        carried = self.carried_state(model)
        sampler = (
            data.streams(_VALIDATION_STREAMS)
            if isinstance(data, StreamDataset)
            else data.sampler(max_tokens=_VALIDATION_TOKENS, seed=0)
        )
        for indices in sampler.epoch_batches(0):
            loss = self.loss(model, data.batch(indices).to(device), carried)
            total, count = total + loss.total.item(), count + loss.count
        characters = sum(size.characters for size in data.sizes)
        bits = (total + sum(size.unknown_nats for size in data.sizes)) / math.log(2)
        mean = total / count
        return {"loss": mean, "bits_per_character": bits / characters, "perplexity": math.exp(min(mean, 700.0))}

    def finished(self, model: nn.Module, data: Any, device: torch.device | str) -> "GenerateTask":
        return self

    def input_of(self, example: Document) -> Document:
        """The document itself: `predict` measures documents, and goes on with texts."""
        return example

    def read_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of `SamplingConfig`."""
        own = to_plain(self.config.sampling)
        return dict(to_plain(parse_config(SamplingConfig, {**own, **changes}, where="settings")))

    def predict(
        self,
        model: nn.Module,
        inputs: Sequence[str | Document],
        *,
        batch_size: int = 64,
        settings: Mapping[str, Any] | None = None,
    ) -> list[GeneratedText]:
        """Texts gone on with, and documents measured; documents that continue are read after those before them.

        Raises:
            RequestError: an input is longer than learned positions reach.
        """
        assert isinstance(model, LanguageModel)
        own = self.config.sampling
        sampling = (
            own if settings is None else parse_config(SamplingConfig, {**to_plain(own), **settings}, where="settings")
        )
        documents = [one for one in inputs if isinstance(one, Document)]
        measured = iter(self._measured(model, documents, batch_size))
        return [
            next(measured) if isinstance(one, Document) else self._continued(model, one, sampling, number)
            for number, one in enumerate(inputs, start=1)
        ]

    def statistics(self, examples: Sequence[Document], answers: Sequence[GeneratedText]) -> dict[str, Statistics]:
        scores = [TextScore(one.log_probs, TextSize(one.num_characters, one.unknown_nats)) for one in answers]
        return text_measures(scores, [answer.text for answer in answers])

    def baselines(self, train: Sequence[Document], examples: Sequence[Document]) -> dict[str, dict[str, Statistics]]:
        """N-grams with Kneser-Ney smoothing over the same symbols, of the order best on held-out training text."""
        # `<padding>` and `<start>` are never predicted, and `<end>` is only where documents end.
        chosen = fit_ngrams(
            [tokens for tokens, _ in self._sequences(train)],
            num_symbols=self.codec.size,
            num_predicted=self.codec.size - (3 if self.running else 2),
            largest_order=_LARGEST_ORDERS[self.config.codec.kind],
        )
        log_probs: list[list[float]] = []
        asked = self._sequences(examples)
        for found, (_, lengths) in zip(chosen.model.log_probs([tokens for tokens, _ in asked]), asked, strict=True):
            log_probs += split_by(found.tolist(), lengths)
        scores = [
            TextScore(values, self._size(document.text)) for values, document in zip(log_probs, examples, strict=True)
        ]
        name = f"Kneser-Ney {chosen.order}-grams of {self.config.codec.kind}"
        return {name: text_measures(scores, [self.codec.normalise(document.text) for document in examples])}

    def prediction_files(self, examples: Sequence[Document], answers: Sequence[GeneratedText]) -> dict[str, str]:
        """Every token with its log-probability."""
        return {"predictions.jsonl": prediction_lines(answers)}

    def _size(self, text: str) -> TextSize:
        return size_of(self.codec, text, ended=not self.running)

    def _sequences(self, documents: Sequence[Document]) -> list[tuple[Any, list[int]]]:
        """What is predicted without a break, and how many tokens of it are of each document."""
        runs = join_running(documents) if self.running else [[document] for document in documents]
        found = []
        for run in runs:
            rows = [self._predicted(document.text) for document in run]
            found.append((np.concatenate(rows), [len(row) for row in rows]))
        return found

    def _predicted(self, text: str) -> Any:
        ids = self.codec.encode(text)
        return np.array(ids if self.running else [*ids, END_ID], dtype=np.int64)

    def _measured(self, model: LanguageModel, documents: Sequence[Document], batch_size: int) -> list[GeneratedText]:
        log_probs: list[list[float]] = []
        if self.running:
            for tokens, lengths in self._sequences(documents):
                log_probs += split_by(score_running(model, tokens), lengths)
        else:
            data = self.encode(documents, training=False, seed=0)
            assert isinstance(data, LineDataset)
            log_probs = score_lines(model, data, batch_size=batch_size)
        answers = []
        for document, found in zip(documents, log_probs, strict=True):
            size = self._size(document.text)
            tokens = tuple(self.codec.token(token) for token in self._predicted(document.text).tolist())
            text = self.codec.normalise(document.text)
            answers.append(GeneratedText(text, tokens, tuple(found), size.characters, size.unknown_nats))
        return answers

    def _continued(self, model: LanguageModel, text: str, sampling: SamplingConfig, number: int) -> GeneratedText:
        prompt = self.codec.encode(text)
        self._check_length(prompt, f"Input {number}")
        found = continue_text(model, prompt, sampling, ends=not self.running, limit=self.config.max_length)
        size = size_of(self.codec, text, ended=False)
        whole = self.codec.normalise(text)
        samples = tuple(
            # Decoded together, since a codec may join tokens to what stands before them.
            Sample(self._whole(whole, prompt, sample.tokens), sample.log_prob, sample.finished)
            for sample in found.samples
        )
        tokens = tuple(self.codec.token(token) for token in prompt)
        end = None if self.running else found.end_log_prob
        return GeneratedText(whole, tokens, tuple(found.log_probs), size.characters, size.unknown_nats, end, samples)

    def _whole(self, text: str, prompt: Sequence[int], drawn: Sequence[int]) -> str:
        before = self.codec.decode(prompt)
        joined = self.codec.decode([*prompt, *drawn])
        # Unknown pieces of the input are shown as they were typed.
        return text + joined.removeprefix(before)

    def _check_length(self, ids: Sequence[int], where: str) -> None:
        limit = self.config.max_length
        if limit is not None and len(ids) + 1 > limit:
            raise RequestError(
                f"{where} has {len(ids) + 1:,} tokens with its start, more than the {limit:,} that learned positions "
                "reach ('task.model.layers.max_length'); rotary and sinusoidal positions have no bound."
            )
