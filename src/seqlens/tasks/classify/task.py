"""The task `classify`: its loss, its measures, its answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from seqlens.config.files import read_json, write_json
from seqlens.data.batch import Sequences, pad
from seqlens.data.labelled.records import LabelledText
from seqlens.data.sampler import length_batches
from seqlens.data.text import UNKNOWN_ID, TextCodec, WordsCodec, fit_codec, load_codec
from seqlens.errors import RequestError, WorkError, did_you_mean
from seqlens.metrics import Statistics
from seqlens.models.classifier import TokenClassifier, build_classifier
from seqlens.models.committee import ClassifierCommittee
from seqlens.models.letter_grams import Spellings
from seqlens.tasks.classify.analysis import analyse_answers
from seqlens.tasks.classify.answer import Classification, TokenWeight
from seqlens.tasks.classify.calibration import fit_temperature
from seqlens.tasks.classify.cheap_systems import cheap_systems
from seqlens.tasks.classify.classes import answer_logits, answered_labels, class_weights
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.dataset import LabelledBatch, LabelledDataset, balanced_repeats
from seqlens.tasks.classify.explanation import token_weights, word_groups
from seqlens.tasks.classify.measures import accuracy, macro_f1, matthews, measure_answers
from seqlens.tasks.classify.prediction_file import prediction_table
from seqlens.tasks.classify.spelling import Speller
from seqlens.tasks.classify.vote import CountedVote
from seqlens.tasks.example_analysis import ExampleAnalysis
from seqlens.tasks.loss_sum import LossSum

_LABELS_FILE = "labels.json"
_TOKENS_A_BATCH = 16384
_SETTINGS = ("explain",)


@final
@dataclass(frozen=True, slots=True)
class ClassifyTask:
    """A fitted task: settings, codec, the labels that are answered, weights of classes, temperature, classes.

    `classes` are what the model tells apart, in the order of its outputs: the labels, but where `answers` joins some.
    `vote` is that of naive Bayes, where the settings ask for it.
    """

    config: ClassifyConfig
    codec: TextCodec
    labels: tuple[str, ...]
    weights: tuple[float, ...]
    temperature: float = 1.0
    classes: tuple[str, ...] = ()
    vote: CountedVote | None = None

    def __post_init__(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", self.labels)

    @classmethod
    def fit(cls, config: ClassifyConfig, read: Callable[[], Iterable[LabelledText]]) -> "ClassifyTask":
        """Fits the codec on training texts and takes their labels.

        Raises:
            RequestError: there is only one label, or a setting is for a label that there is not.
        """
        found = [example.label for example in read()]
        classes = tuple(sorted(set(found)))
        labels = answered_labels(config.answers, classes)
        codec = fit_codec(config.codec, (example.text for example in read()))
        weights = class_weights(config, classes, found)
        vote = None
        if config.bayes:
            vote = CountedVote.count(codec, read(), config.answers, by_position=config.bayes == "positions")
        return cls(config, codec, labels, weights, classes=classes, vote=vote)

    @property
    def unit(self) -> str:
        """What the loss counts."""
        return "examples"

    @property
    def validated(self) -> tuple[str, ...]:
        """What `validate` gives."""
        names = ("loss", "accuracy", "macro_f1")
        return (*names, "correlation") if len(self.labels) == 2 else names

    def save(self, folder: Path) -> None:
        self.codec.save(folder / "text")
        content = {"labels": list(self.labels), "weights": list(self.weights), "temperature": self.temperature}
        if self.classes != self.labels:
            content["classes"] = list(self.classes)
        write_json(folder / _LABELS_FILE, content)
        if self.vote is not None:
            self.vote.save(folder)

    @classmethod
    def load(cls, config: ClassifyConfig, folder: Path) -> "ClassifyTask":
        """Reads what `save` wrote.

        Raises:
            WorkError: a file is missing or damaged.
        """
        path = folder / _LABELS_FILE
        stored = read_json(path)
        try:
            labels = tuple(str(label) for label in stored["labels"])
            weights = tuple(float(weight) for weight in stored["weights"])
            temperature = float(stored["temperature"])
            classes = tuple(str(one) for one in stored.get("classes", labels))
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(f"{path} is damaged: expected 'labels', 'weights' and 'temperature'.") from error
        vote = CountedVote.load(folder) if config.bayes else None
        return cls(config, load_codec(folder / "text"), labels, weights, temperature, classes, vote)

    def build_model(self) -> TokenClassifier | ClassifierCommittee:
        config = self.config.model
        sizes = {"vocab_size": self.codec.size, "num_classes": len(self.classes)}
        members = [build_classifier(config, **sizes, unknown_id=UNKNOWN_ID) for _ in range(config.members)]
        return members[0] if len(members) == 1 else ClassifierCommittee(members)

    def describe(self) -> dict[str, str]:
        shown = ", ".join(self.labels[:12]) + (", …" if len(self.labels) > 12 else "")
        rows = {"task": f"classify: {len(self.labels)} labels ({shown})", "vocabulary": f"{self.codec.size:,} symbols"}
        if self.classes != self.labels:
            rows["learnt as"] = f"{len(self.classes)} classes ({', '.join(self.classes)})"
        if self.vote is not None:
            rows["naive Bayes"] = f"its scores are added, {self.vote.weight:.3f} times (fitted on validation)"
        if self.config.calibrate:
            rows["temperature"] = f"{self.temperature:.3f} (logits are divided by it, fitted on validation)"
        return rows

    def encode(self, examples: Sequence[LabelledText], *, training: bool, seed: int) -> LabelledDataset:
        """Training examples with the places of their classes, others with those of the labels that are answered."""
        places = {label: place for place, label in enumerate(self.classes if training else self.labels)}
        speller = self._speller()
        rows = (speller or self.codec).encode_batch(example.text for example in examples)
        labels = np.array([places.get(example.label, -1) for example in examples], dtype=np.int64)
        balanced = training and self.config.sample_classes == "balanced"
        return LabelledDataset(rows, labels.tolist(), balanced_repeats(labels) if balanced else None, speller)

    def loss(self, model: nn.Module, batch: LabelledBatch) -> LossSum:
        """Cross-entropy of the class of every training example; without training neither weighed nor smoothed.

        That of a committee is the mean over its members in training: each learns as if it were alone.
        """
        keep = batch.labels >= 0
        labels = batch.labels[keep]
        each = self._logits(model, batch.inputs, batch.spellings)
        nll = torch.stack([cross_entropy(logits[keep].float(), labels, reduction="sum") for logits in each]).mean()
        total = nll
        if model.training and (self.config.class_weights != "none" or self.config.label_smoothing):
            smoothing, weight = self.config.label_smoothing, nll.new_tensor(self.weights)[labels]
            losses = [
                cross_entropy(logits[keep].float(), labels, reduction="none", label_smoothing=smoothing)
                for logits in each
            ]
            total = (torch.stack(losses).mean(0) * weight).sum()
        return LossSum(total, len(labels), {"nll": nll.item()})

    def validate(self, model: nn.Module, data: Any, device: torch.device | str) -> dict[str, float]:
        """`loss`, `accuracy`, `macro_f1` and, for two classes, `correlation`, of all examples with a known label."""
        logits, labels = self._all_logits(model, data, device)
        keep = labels >= 0
        loss = float(cross_entropy(logits[keep], labels[keep]))
        truth = [self.labels[label] if label >= 0 else "" for label in labels.tolist()]
        found = [self.labels[label] for label in logits.argmax(1).tolist()]
        metrics = {"loss": loss, "accuracy": accuracy(truth, found).value()}
        metrics["macro_f1"] = macro_f1(truth, found, self.labels).value()
        if len(self.labels) == 2:
            metrics["correlation"] = matthews(truth, found, self.labels[1]).value()
        return metrics

    def finished(self, model: nn.Module, data: Any, device: torch.device | str) -> "ClassifyTask":
        """The task with the temperature, and the weight of naive Bayes, fitted on validation data."""
        if not self.config.calibrate:
            return self
        logits, labels = self._all_logits(model, data, device)
        vote = None if self.vote is None else self.vote.fitted(logits, data.ids(), labels)
        if vote is not None:
            logits = vote.add(logits, data.ids())
        return replace(self, temperature=fit_temperature(logits, labels), vote=vote)

    def input_of(self, example: LabelledText) -> str:
        return example.text

    def read_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """`explain`: whether answers tell what each word counted for."""
        for name, value in changes.items():
            if name not in _SETTINGS:
                hint = did_you_mean(name, _SETTINGS)
                raise RequestError(f"There is no setting '{name}' of predict, expected {', '.join(_SETTINGS)}.{hint}")
            if not isinstance(value, bool):
                raise RequestError(f"'{name}' is {value!r}, expected true or false.")
        return dict(changes)

    def predict(
        self,
        model: nn.Module,
        inputs: Sequence[str],
        *,
        batch_size: int = 64,
        settings: Mapping[str, Any] | None = None,
    ) -> list[Classification]:
        """A label for every text, with calibrated probabilities."""
        explain = bool((settings or {}).get("explain"))
        limit = getattr(model, "max_length", None)
        speller = self._speller()
        rows = (speller or self.codec).encode_batch(inputs)
        truncated = [limit is not None and len(row) > limit for row in rows]
        rows = [row[:limit] for row in rows]
        answers: list[Classification | None] = [None] * len(rows)
        order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
        device = next(model.parameters()).device
        with torch.no_grad():
            for first in range(0, len(order), batch_size):
                numbers = order[first : first + batch_size]
                logits = self._answer_logits(model, speller, [rows[number] for number in numbers], device)
                for number, probabilities in zip(numbers, torch.softmax(logits, 1).tolist(), strict=True):
                    best = max(range(len(self.labels)), key=probabilities.__getitem__)
                    tokens: tuple[TokenWeight, ...] = ()
                    if explain:
                        tokens = self._token_weights(model, speller, inputs[number], rows[number], best)
                    answers[number] = Classification(
                        self.labels[best],
                        probabilities[best],
                        dict(zip(self.labels, probabilities, strict=True)),
                        tokens,
                        truncated[number],
                    )
        return [answer for answer in answers if answer is not None]

    def statistics(self, examples: Sequence[LabelledText], answers: Sequence[Classification]) -> dict[str, Statistics]:
        return measure_answers(examples, [answer.probabilities for answer in answers], self.labels)

    def baselines(
        self, train: Sequence[LabelledText], examples: Sequence[LabelledText]
    ) -> dict[str, dict[str, Statistics]]:
        """The commonest label, naive Bayes on n-grams, and of nucleotides logistic regression; see `cheap_systems`."""
        answers = self.config.answers
        named = [(one.text, answers.get(one.label, one.label)) for one in train]
        return cheap_systems(
            self.codec,
            self.config.codec.kind,
            self.labels,
            [(text, label) for text, label in named if label is not None],
            [example.text for example in examples],
            lambda probabilities: measure_answers(examples, probabilities, self.labels),
        )

    def prediction_files(self, examples: Sequence[LabelledText], answers: Sequence[Classification]) -> dict[str, str]:
        """A table of label, answer, probabilities and text."""
        return {"predictions.tsv": prediction_table(examples, answers, self.labels)}

    def analyse(self, examples: Sequence[LabelledText], answers: Sequence[Classification]) -> ExampleAnalysis:
        """Calibration before and after the temperature, answers by class, the most confident mistakes."""
        return analyse_answers(examples, answers, self.labels, self.temperature)

    def _speller(self) -> Speller | None:
        """What numbers the tokens of some texts where letters are read, too."""
        config = self.config.model.letter_grams
        return Speller(self.codec, config) if config is not None and isinstance(self.codec, WordsCodec) else None

    def _token_weights(
        self, model: nn.Module, speller: Speller | None, text: str, row: Sequence[int], label: int
    ) -> tuple[TokenWeight, ...]:
        groups = word_groups(self.codec, self.config.codec.kind, text)
        device = next(model.parameters()).device
        judge = partial(self._answer_logits, model, speller, device=device)
        return token_weights(judge, row, label, text, self.codec.spans(text), groups)

    def _answer_logits(
        self, model: nn.Module, speller: Speller | None, rows: Sequence[Sequence[int]], device: torch.device
    ) -> Tensor:
        """Logits of the labels for rows of what encodes texts, divided by the temperature."""
        inputs, spellings = pad(rows), None
        if speller is not None:
            inputs, spellings = speller.read(inputs)
            spellings = spellings.to(device)
        (logits,) = self._logits(model, inputs.to(device), spellings)
        logits = answer_logits(logits.double(), self.classes, self.labels, self.config.answers)
        if self.vote is not None:
            logits = self.vote.add(logits, rows if speller is None else [speller.ids(row) for row in rows])
        return logits / self.temperature

    def _logits(self, model: nn.Module, inputs: Sequences, spellings: Spellings | None) -> list[Tensor]:
        """Logits of the classes; in training those of each member of a committee."""
        limit = getattr(model, "max_length", None)
        ids, lengths = inputs
        if limit is not None and ids.shape[1] > limit:
            ids, lengths = ids[:, :limit], lengths.clamp(max=limit)
            spellings = None if spellings is None else spellings._replace(places=spellings.places[:, :limit])
        given = (ids, lengths) if spellings is None else (ids, lengths, spellings)
        if model.training and isinstance(model, ClassifierCommittee):
            return [output.logits for output in model.each(*given)]
        return [model(*given).logits]

    def _all_logits(self, model: nn.Module, data: LabelledDataset, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Logits of labels in float32, and the labels of all examples, in their order, on the CPU."""
        logits = torch.zeros(len(data), len(self.labels))
        with torch.no_grad():
            for indices in length_batches(data.lengths, _TOKENS_A_BATCH):
                batch = data.batch(indices).to(device)
                (found,) = self._logits(model, batch.inputs, batch.spellings)
                found = answer_logits(found.float(), self.classes, self.labels, self.config.answers)
                logits[torch.from_numpy(indices)] = found.cpu()
        return logits, torch.from_numpy(data.labels)
