"""Settings of the task `classify`: a sequence in, one label out."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.text import TextCodecConfig, WordsConfig
from seqlens.models.classifier_config import ClassifierConfig


@dataclass(frozen=True, slots=True)
class ClassifyConfig:
    """What is learnt.

    `class_weights`: what the loss of an example of each class is multiplied by; `balanced` makes all classes count as
    much. `sample_classes`: `balanced` shows the examples of all classes equally often in an epoch, the rare ones again
    and again, the common ones in turn. `calibrate`: after training a temperature is fitted on the validation split, by
    which logits are divided (Guo et al. 2017), so that probabilities mean what they say.

    `bayes`: naive Bayes on words and pairs of words is counted on the training texts and adds its scores to the net's
    logits, with a weight that is fitted on the validation split together with the temperature. The two make different
    mistakes; on a few thousand short texts both together are clearly better than either. `positions` counts pairs of
    neighbours apart at each place instead, for windows that lie alike around what they are windows of.

    `answers`: what is answered for labels of the training data that are finer than what is asked, such as `positive`
    for `very positive`; null for those that are learnt but are no answer, such as `neutral`. The model tells all labels
    of training apart; a label that is answered has the probability of all that stand for it, given that one does.
    Validation and test have the labels that are answered: see `train_labels` of the data.
    """

    kind: Literal["classify"] = "classify"
    codec: TextCodecConfig = field(default_factory=WordsConfig)
    model: ClassifierConfig = field(default_factory=ClassifierConfig)
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    sample_classes: Literal["natural", "balanced"] = "natural"
    calibrate: bool = True
    bayes: bool | Literal["positions"] = False
    answers: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bayes and not self.calibrate:
            raise ValueError("'bayes' is weighed as answers are calibrated, but 'calibrate' is false")
        if self.model.letter_grams is not None and self.codec.kind != "words":
            raise ValueError(
                f"'model.letter_grams' read the letters of words, but 'codec.kind' is '{self.codec.kind}', expected "
                "'words'"
            )
