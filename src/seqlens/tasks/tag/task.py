"""The task `tag`: its loss, its measures, its answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from seqlens.config.files import read_json, write_json
from seqlens.data.sampler import length_batches
from seqlens.data.tagged.forms import FormsCodec, normalise
from seqlens.data.tagged.records import Entity, TaggedText
from seqlens.data.tagged.schemes import TokenSpan
from seqlens.data.tagged.vectors import read_vectors
from seqlens.data.tagged.words import tokenise
from seqlens.decoding.viterbi import viterbi
from seqlens.errors import RequestError, WorkError
from seqlens.layers.chain import ChainScores
from seqlens.layers.crf import Segment, path_score, segment_probabilities
from seqlens.metrics import Statistics
from seqlens.models.tagger import WordTagger, build_tagger
from seqlens.tasks.loss_sum import LossSum
from seqlens.tasks.tag.answer import FoundEntity, Tagging
from seqlens.tasks.tag.baselines import CommonestTag, Gazetteer
from seqlens.tasks.tag.config import TagConfig
from seqlens.tasks.tag.dataset import FormTable, TagBatch, TagDataset
from seqlens.tasks.tag.measures import measure, measure_texts, surface
from seqlens.tasks.tag.prediction_file import prediction_columns
from seqlens.tasks.tag.tags import TagSet

_LABELS_FILE = "labels.json"
_TOKENS_A_BATCH = 8192


@final
@dataclass(frozen=True, slots=True, eq=False)
class TagTask:
    """A fitted task: settings, codec, tags, and the entities of training, by which new ones are told from seen ones.

    `vectors [words, dim]` are there in the training that read them only; NaN for words without one.
    """

    config: TagConfig
    codec: FormsCodec
    tags: TagSet
    seen: frozenset[str]
    vectors: Float32[np.ndarray, "words dim"] | None = None

    @classmethod
    def fit(cls, config: TagConfig, read: Callable[[], Iterable[TaggedText]]) -> "TagTask":
        """Counts words, letters, features and labels of training sentences.

        Raises:
            RequestError: no entity is marked, or the file of word vectors does not fit.
        """
        words: list[str] = []
        labels, seen = set(), set()
        for example in read():
            words += example.words()
            for entity in example.entities:
                labels.add(entity.label)
                seen.add(surface(example, entity))
        if not labels:
            raise RequestError("No entity is marked in the training data, expected some to learn from.")
        tags = TagSet(tuple(sorted(labels)), config.scheme)
        if config.vectors is None:
            return cls(config, FormsCodec.fit(config.codec, words), tags, frozenset(seen))
        known = {normalise(word, config.codec) for word in words}
        found = read_vectors(
            Path(config.vectors.path),
            dim=config.model.embedding_dim,
            max_words=config.vectors.max_words,
            wanted=lambda word: normalise(word, config.codec) in known,
        )
        names = [normalise(word, config.codec) for word in found.words]
        codec = FormsCodec.fit(config.codec, words, more=names)
        vectors = np.full((codec.num_words, config.model.embedding_dim), np.nan, dtype=np.float32)
        # Of words that become equal in the vocabulary the first is taken: files have the commonest first.
        for name, row in zip(reversed(names), found.rows[::-1], strict=True):
            if name in codec.words:
                vectors[codec.words[name]] = row
        return cls(config, codec, tags, frozenset(seen), vectors)

    @property
    def unit(self) -> str:
        """What the loss counts."""
        return "tokens"

    @property
    def validated(self) -> tuple[str, ...]:
        """What `validate` gives."""
        return ("loss", "f1", "precision", "recall")

    def save(self, folder: Path) -> None:
        self.codec.save(folder / "words")
        write_json(folder / _LABELS_FILE, {"labels": list(self.tags.labels), "seen": sorted(self.seen)})

    @classmethod
    def load(cls, config: TagConfig, folder: Path) -> "TagTask":
        """Reads what `save` wrote.

        Raises:
            WorkError: a file is missing or damaged.
        """
        path = folder / _LABELS_FILE
        stored = read_json(path)
        try:
            labels = tuple(str(label) for label in stored["labels"])
            seen = frozenset(str(text) for text in stored["seen"])
        except (KeyError, TypeError) as error:
            raise WorkError(f"{path} is damaged: expected the lists 'labels' and 'seen'.") from error
        return cls(config, FormsCodec.load(config.codec, folder / "words"), TagSet(labels, config.scheme), seen)

    def build_model(self) -> WordTagger:
        allowed = self.tags.allowed()
        return build_tagger(
            self.config.model,
            num_words=self.codec.num_words,
            num_letters=self.codec.num_letters,
            num_features=self.codec.num_features,
            num_tags=len(self.tags.names),
            counts=torch.from_numpy(self.codec.counts),
            allowed_transitions=allowed.transitions,
            allowed_start=allowed.start,
            allowed_end=allowed.end,
            vectors=None if self.vectors is None else torch.from_numpy(self.vectors),
        )

    def describe(self) -> dict[str, str]:
        labels = self.tags.labels
        shown = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
        return {
            "task": f"tag: {len(labels)} {'label' if len(labels) == 1 else 'labels'} ({shown})",
            "vocabulary": f"{self.codec.num_words:,} words, {self.codec.num_letters:,} letters",
        }

    def encode(self, examples: Sequence[TaggedText], *, training: bool, seed: int) -> TagDataset:
        return TagDataset(FormTable(self.codec), self.tags, examples)

    def loss(self, model: nn.Module, batch: TagBatch) -> LossSum:
        """Minus the log-probability of each sentence's tags, summed; it is counted by tokens."""
        assert isinstance(model, WordTagger)
        emissions, lengths = _emissions(model, batch)
        tags = self._cut(batch, lengths, emissions.shape[1])
        if self.config.model.crf:
            total = model.crf(emissions, lengths, tags).sum()
        else:
            total = -path_score(emissions, lengths, tags, ChainScores.zeros(model.crf.num_tags)).sum()
        return LossSum(total.float(), int(lengths.sum()), {"nll": total.item()})

    def _cut(self, batch: TagBatch, lengths: Tensor, num_steps: int) -> Tensor:
        """The tags as far as sentences are read; a span that reaches beyond ends there, as the scheme has it."""
        tags = batch.tags[:, :num_steps]
        was_cut = (batch.inputs.lengths > lengths)[:, None]
        is_last = was_cut & (torch.arange(num_steps) == lengths[:, None] - 1)
        closing = torch.tensor(self.tags.closing(), device=tags.device)
        return torch.where(is_last.to(tags.device), closing[tags], tags)

    def validate(self, model: nn.Module, data: Any, device: torch.device | str) -> dict[str, float]:
        """`loss` a token, and `f1`, `precision` and `recall` of entities, as seqeval counts them."""
        assert isinstance(model, WordTagger)
        total, count = 0.0, 0
        # Of labels that training has not, too: nothing can find them, and they are missed all the same.
        truth: list[Sequence[TokenSpan]] = []
        found: list[list[TokenSpan]] = []
        with torch.no_grad():
            for indices in length_batches(data.lengths, _TOKENS_A_BATCH):
                batch = data.batch(indices).to(device)
                loss = self.loss(model, batch)
                total, count = total + loss.parts["nll"], count + loss.count
                emissions, lengths = _emissions(model, batch)
                paths = viterbi(emissions, lengths, model.scores()).tags.tolist()
                sentences = iter(path[:end] for path, end in zip(paths, lengths.tolist(), strict=True))
                for number in indices:
                    own: list[TokenSpan] = []
                    start = 0
                    for sentence, tags in zip(data.sentences[number], sentences, strict=False):
                        own += [(first + start, end + start, label) for first, end, label in self.tags.spans(tags)]
                        start += len(sentence.forms)  # more than there are tags, where it was cut
                    found.append(own)
                    truth.append(data.spans[number])
        measures = measure(truth, found)
        return {"loss": total / max(count, 1), **{name: of.value() for name, of in measures.items()}}

    def finished(self, model: nn.Module, data: Any, device: torch.device | str) -> "TagTask":
        return self

    def input_of(self, example: TaggedText) -> TaggedText:
        return TaggedText(example.text, example.tokens, (), example.place)

    def read_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """There are none."""
        for name in changes:
            raise RequestError(f"There is no setting '{name}' of predict: a tagger has none.")
        return {}

    def predict(
        self,
        model: nn.Module,
        inputs: Sequence[str | TaggedText],
        *,
        batch_size: int = 64,
        settings: Mapping[str, Any] | None = None,
    ) -> list[Tagging]:
        """The entities of every text: a raw one, or one whose tokens are known. A line break ends a sentence."""
        assert isinstance(model, WordTagger)
        texts = [self._tokenised(text) for text in inputs]
        data = TagDataset(FormTable(self.codec), self.tags, texts)
        answers: list[Tagging] = [Tagging(text.text, ()) for text in texts]
        order = sorted(range(len(texts)), key=lambda number: -data.lengths[number])
        device = next(model.parameters()).device
        with torch.no_grad():
            for first in range(0, len(order), batch_size):
                numbers = order[first : first + batch_size]
                found = self._find(model, data.batch(numbers).to(device), [texts[number] for number in numbers])
                for number, answer in zip(numbers, found, strict=True):
                    answers[number] = answer
        return answers

    def statistics(self, examples: Sequence[TaggedText], answers: Sequence[Tagging]) -> dict[str, Statistics]:
        """F1, precision, recall; F1 by label where there are several; F1 of entities that training has and has not."""
        found = [[Entity(one.start, one.end, one.label) for one in answer.entities] for answer in answers]
        return self._measures(examples, found)

    def baselines(
        self, train: Sequence[TaggedText], examples: Sequence[TaggedText]
    ) -> dict[str, dict[str, Statistics]]:
        """The longest entity of training that a text holds, and each word's commonest tag."""
        systems: dict[str, Gazetteer | CommonestTag] = {
            "entities of training, longest match": Gazetteer(train),
            "commonest tag of a word": CommonestTag(train),
        }
        return {
            name: self._measures(examples, [_entities(one, system.spans(one.words())) for one in examples])
            for name, system in systems.items()
        }

    def prediction_files(self, examples: Sequence[TaggedText], answers: Sequence[Tagging]) -> dict[str, str]:
        """Columns of token, true tag and answered tag."""
        found = []
        for example, answer in zip(examples, answers, strict=True):
            entities = tuple(Entity(one.start, one.end, one.label) for one in answer.entities)
            found.append(TaggedText(example.text, example.tokens, entities).token_spans())
        return {"predictions.conll": prediction_columns(examples, found)}

    def _measures(self, examples: Sequence[TaggedText], found: Sequence[Sequence[Entity]]) -> dict[str, Statistics]:
        return measure_texts(examples, found, labels=self.tags.labels, seen=self.seen)

    def _tokenised(self, text: str | TaggedText) -> TaggedText:
        if isinstance(text, TaggedText):
            return text
        return TaggedText(text, tuple(tokenise(text, self.config.tokens)))

    def _find(self, model: WordTagger, batch: TagBatch, texts: Sequence[TaggedText]) -> list[Tagging]:
        emissions, lengths = _emissions(model, batch)
        scores = model.scores()
        paths = viterbi(emissions, lengths, scores).tags.tolist()
        sentences = [(place, first) for place, text in enumerate(texts) for first, _ in text.sentences()]
        segments, spans = [], []
        for row, (path, length) in enumerate(zip(paths, lengths.tolist(), strict=True)):
            for first, end, label in self.tags.spans(path[:length]):
                segments.append(Segment(row, first, tuple(path[first:end]), self.tags.continuing(label)))
                spans.append((first + sentences[row][1], end + sentences[row][1], label))
        found: list[list[FoundEntity]] = [[] for _ in texts]
        confidences = segment_probabilities(emissions, lengths, scores, segments)
        for segment, span, confidence in zip(segments, spans, confidences, strict=True):
            place = sentences[segment.row][0]
            text = texts[place]
            (entity,) = _entities(text, [span])
            words = text.text[entity.start : entity.stop]
            found[place].append(FoundEntity(words, entity.start, entity.stop, entity.label, confidence))
        limit = model.max_length
        return [
            Tagging(
                text.text, tuple(of), limit is not None and any(end - first > limit for first, end in text.sentences())
            )
            for text, of in zip(texts, found, strict=True)
        ]


def _entities(text: TaggedText, spans: Sequence[TokenSpan]) -> list[Entity]:
    return [Entity(text.tokens[first][0], text.tokens[end - 1][1], label) for first, end, label in spans]


def _emissions(model: WordTagger, batch: TagBatch) -> tuple[Tensor, Tensor]:
    """Scores of the tags of each token, as log-probabilities where no transitions are learned."""
    ids, lengths = batch.inputs
    if model.max_length is not None and ids.shape[1] > model.max_length:
        ids, lengths = ids[:, : model.max_length], lengths.clamp(max=model.max_length)
    logits = model(ids, lengths, batch.forms, batch.texts).logits.float()
    return (logits if model.learned_transitions else torch.log_softmax(logits, dim=2)), lengths
