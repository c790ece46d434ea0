"""The task `classify`: its loss, its measures, its answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.config.files import read_json, write_json
from seqlens.data.batch import pad
from seqlens.data.labelled.records import LabelledText
from seqlens.data.sampler import length_batches
from seqlens.data.text import UNKNOWN_ID, TextCodec, fit_codec, load_codec
from seqlens.errors import RequestError, WorkError, did_you_mean
from seqlens.metrics import Statistics
from seqlens.models.classifier import TokenClassifier, build_classifier
from seqlens.tasks.classify.analysis import analyse_answers
from seqlens.tasks.classify.answer import Classification, TokenWeight
from seqlens.tasks.classify.baselines import NaiveBayes, majority
from seqlens.tasks.classify.calibration import fit_temperature
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.dataset import LabelledBatch, LabelledDataset, balanced_repeats
from seqlens.tasks.classify.explanation import token_weights, word_groups
from seqlens.tasks.classify.measures import accuracy, expected_calibration_error, log_loss, macro_f1, matthews
from seqlens.tasks.classify.prediction_file import prediction_table
from seqlens.tasks.classify.window_baselines import position_regression, word_regression
from seqlens.tasks.example_analysis import ExampleAnalysis
from seqlens.tasks.loss_sum import LossSum

_LABELS_FILE = "labels.json"
_TOKENS_A_BATCH = 16384
_SETTINGS = ("explain",)


@final
@dataclass(frozen=True, slots=True)
class ClassifyTask:
    """A fitted task: settings, codec, labels in the order of the model's outputs, weights of classes, temperature."""

    config: ClassifyConfig
    codec: TextCodec
    labels: tuple[str, ...]
    weights: tuple[float, ...]
    temperature: float = 1.0

    @classmethod
    def fit(cls, config: ClassifyConfig, read: Callable[[], Iterable[LabelledText]]) -> "ClassifyTask":
        """Fits the codec on training texts and takes their labels.

        Raises:
            RequestError: there is only one label, or a class weight is for a label that there is not.
        """
        found = [example.label for example in read()]
        labels = tuple(sorted(set(found)))
        if len(labels) < 2:
            only = f"only the label '{labels[0]}'" if labels else "no label"
            raise RequestError(f"The training data have {only}, expected at least two different ones.")
        codec = fit_codec(config.codec, (example.text for example in read()))
        return cls(config, codec, labels, _class_weights(config, labels, found))

    def save(self, folder: Path) -> None:
        self.codec.save(folder / "text")
        content = {"labels": list(self.labels), "weights": list(self.weights), "temperature": self.temperature}
        write_json(folder / _LABELS_FILE, content)

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
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(f"{path} is damaged: expected 'labels', 'weights' and 'temperature'.") from error
        return cls(config, load_codec(folder / "text"), labels, weights, temperature)

    def build_model(self) -> TokenClassifier:
        sizes = {"vocab_size": self.codec.size, "num_classes": len(self.labels)}
        return build_classifier(self.config.model, **sizes, unknown_id=UNKNOWN_ID)

    def describe(self) -> dict[str, str]:
        shown = ", ".join(self.labels[:12]) + (", …" if len(self.labels) > 12 else "")
        rows = {"task": f"classify: {len(self.labels)} labels ({shown})", "vocabulary": f"{self.codec.size:,} symbols"}
        if self.config.calibrate:
            rows["temperature"] = f"{self.temperature:.3f} (logits are divided by it, fitted on validation)"
        return rows

    def encode(self, examples: Sequence[LabelledText], *, training: bool, seed: int) -> LabelledDataset:
        places = {label: place for place, label in enumerate(self.labels)}
        rows = self.codec.encode_batch(example.text for example in examples)
        labels = np.array([places.get(example.label, -1) for example in examples], dtype=np.int64)
        balanced = training and self.config.sample_classes == "balanced"
        return LabelledDataset(rows, labels.tolist(), balanced_repeats(labels) if balanced else None)

    def loss(self, model: nn.Module, batch: LabelledBatch) -> LossSum:
        """Cross-entropy of every label; without training neither weighed nor smoothed."""
        logits = self._logits(model, batch)
        keep = batch.labels >= 0
        logits, labels = logits[keep].float(), batch.labels[keep]
        nll = nn.functional.cross_entropy(logits, labels, reduction="sum")
        total = nll
        if model.training and (self.config.class_weights != "none" or self.config.label_smoothing):
            weight = logits.new_tensor(self.weights)
            losses = nn.functional.cross_entropy(
                logits, labels, reduction="none", label_smoothing=self.config.label_smoothing
            )
            total = (losses * weight[labels]).sum()
        return LossSum(total, len(labels), {"nll": nll.item()})

    def validate(self, model: nn.Module, data: Any, device: torch.device | str) -> dict[str, float]:
        """`loss`, `accuracy`, `macro_f1` and, for two classes, `correlation`, of all examples with a known label."""
        logits, labels = self._all_logits(model, data, device)
        keep = labels >= 0
        loss = float(nn.functional.cross_entropy(logits[keep], labels[keep]))
        truth = [self.labels[label] if label >= 0 else "" for label in labels.tolist()]
        found = [self.labels[label] for label in logits.argmax(1).tolist()]
        metrics = {"loss": loss, "accuracy": accuracy(truth, found).value()}
        metrics["macro_f1"] = macro_f1(truth, found, self.labels).value()
        if len(self.labels) == 2:
            metrics["correlation"] = matthews(truth, found, self.labels[1]).value()
        return metrics

    def finished(self, model: nn.Module, data: Any, device: torch.device | str) -> "ClassifyTask":
        """The task with the temperature fitted on validation data."""
        if not self.config.calibrate:
            return self
        return replace(self, temperature=fit_temperature(*self._all_logits(model, data, device)))

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
        rows = self.codec.encode_batch(inputs)
        truncated = [limit is not None and len(row) > limit for row in rows]
        rows = [row[:limit] for row in rows]
        answers: list[Classification | None] = [None] * len(rows)
        order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
        device = next(model.parameters()).device
        with torch.no_grad():
            for first in range(0, len(order), batch_size):
                numbers = order[first : first + batch_size]
                batch = pad([rows[number] for number in numbers]).to(device)
                logits = model(batch.ids, batch.lengths).logits.double() / self.temperature
                for number, probabilities in zip(numbers, torch.softmax(logits, 1).tolist(), strict=True):
                    best = max(range(len(self.labels)), key=probabilities.__getitem__)
                    tokens: tuple[TokenWeight, ...] = ()
                    if explain:
                        tokens = self._token_weights(model, inputs[number], rows[number], best)
                    answers[number] = Classification(
                        self.labels[best],
                        probabilities[best],
                        dict(zip(self.labels, probabilities, strict=True)),
                        tokens,
                        truncated[number],
                    )
        return [answer for answer in answers if answer is not None]

    def statistics(self, examples: Sequence[LabelledText], answers: Sequence[Classification]) -> dict[str, Statistics]:
        return self._measures(examples, [answer.probabilities for answer in answers])

    def baselines(
        self, train: Sequence[LabelledText], examples: Sequence[LabelledText]
    ) -> dict[str, dict[str, Statistics]]:
        """The commonest label, and naive Bayes on unigrams and bigrams (of characters, up to six in a row).

        Of sequences of nucleotides also logistic regression, by position and on short words.
        """
        labels = [example.label for example in train]
        common = majority(labels)
        letters = self.config.codec.kind in ("characters", "nucleotides")
        orders = range(1, 7) if letters else (1, 2)
        name = "up to 6-grams" if letters else "bigrams"
        known = self.codec.encode_batch(one.text for one in train)
        bayes = NaiveBayes(known, labels, orders=tuple(orders))
        rows = self.codec.encode_batch(example.text for example in examples)
        answers = [common] * len(examples)
        truth = [example.label for example in examples]
        found = {
            f"commonest label ({common})": {
                "accuracy": accuracy(truth, answers),
                "macro_f1": macro_f1(truth, answers, self.labels),
            },
            f"naive Bayes, {name}": self._measures(examples, [bayes.probabilities(row) for row in rows]),
        }
        if len(self.labels) == 2:
            found[f"commonest label ({common})"]["correlation"] = matthews(truth, answers, self.labels[1])
        if self.config.codec.kind == "nucleotides":
            places = [self.labels.index(label) for label in labels]
            by_word = word_regression(known, places, rows)
            found["logistic regression, words of 4"] = self._measures(examples, self._named(by_word))
            by_place = position_regression(known, places, rows, self.codec.size)
            if by_place is not None:
                found["logistic regression, one-hot positions"] = self._measures(examples, self._named(by_place))
        return found

    def prediction_files(self, examples: Sequence[LabelledText], answers: Sequence[Classification]) -> dict[str, str]:
        """A table of label, answer, probabilities and text."""
        return {"predictions.tsv": prediction_table(examples, answers, self.labels)}

    def analyse(self, examples: Sequence[LabelledText], answers: Sequence[Classification]) -> ExampleAnalysis:
        """Calibration before and after the temperature, answers by class, the most confident mistakes."""
        return analyse_answers(examples, answers, self.labels, self.temperature)

    def _named(self, chances: Float[np.ndarray, "rows classes"]) -> list[dict[str, float]]:
        return [dict(zip(self.labels, row, strict=True)) for row in chances.tolist()]

    def _measures(
        self, examples: Sequence[LabelledText], probabilities: Sequence[dict[str, float]]
    ) -> dict[str, Statistics]:
        truth = [example.label for example in examples]
        answers = [max(of, key=of.__getitem__) for of in probabilities]
        measures = {"accuracy": accuracy(truth, answers), "macro_f1": macro_f1(truth, answers, self.labels)}
        if len(self.labels) == 2:
            measures["correlation"] = matthews(truth, answers, self.labels[1])
        measures["log_loss"] = log_loss(truth, probabilities)
        measures["calibration_error"] = expected_calibration_error(truth, probabilities)
        return measures

    def _token_weights(self, model: nn.Module, text: str, row: Sequence[int], label: int) -> tuple[TokenWeight, ...]:
        groups = word_groups(self.codec, self.config.codec.kind, text)
        return token_weights(model, row, label, text, self.codec.spans(text), groups, self.temperature)

    def _logits(self, model: nn.Module, batch: LabelledBatch) -> Tensor:
        limit = getattr(model, "max_length", None)
        ids, lengths = batch.inputs
        if limit is not None and ids.shape[1] > limit:
            ids, lengths = ids[:, :limit], lengths.clamp(max=limit)
        logits: Tensor = model(ids, lengths).logits
        return logits

    def _all_logits(self, model: nn.Module, data: LabelledDataset, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Logits in float32 and labels of all examples, in their order, on the CPU."""
        logits = torch.zeros(len(data), len(self.labels))
        with torch.no_grad():
            for indices in length_batches(data.lengths, _TOKENS_A_BATCH):
                logits[torch.from_numpy(indices)] = self._logits(model, data.batch(indices).to(device)).float().cpu()
        return logits, torch.from_numpy(data.labels)


def _class_weights(config: ClassifyConfig, labels: Sequence[str], found: Sequence[str]) -> tuple[float, ...]:
    """A weight a label; those of `balanced` are such that the mean over examples is 1."""
    match config.class_weights:
        case "none":
            return (1.0,) * len(labels)
        case "balanced":
            return tuple(len(found) / len(labels) / found.count(label) for label in labels)
        case dict() as given:
            for name in given:
                if name not in labels:
                    raise RequestError(
                        f"'class_weights' has '{name}', which is no label of the training data, expected some of "
                        f"{', '.join(labels)}.{did_you_mean(name, labels)}"
                    )
            return tuple(float(given.get(label, 1.0)) for label in labels)
