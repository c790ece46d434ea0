"""The classes that are learnt, how much each counts, and the labels that are answered for them."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.errors import RequestError, did_you_mean
from seqlens.tasks.classify.config import ClassifyConfig


def answered_labels(answers: Mapping[str, str | None], classes: Sequence[str]) -> tuple[str, ...]:
    """The labels that stand for the classes, in the order of the alphabet.

    Raises:
        RequestError: `answers` names a class that there is not, or fewer than two labels are left.
    """
    for name in answers:
        if name not in classes:
            raise RequestError(
                f"'answers' has '{name}', which is no label of the training data, expected some of "
                f"{', '.join(classes)}.{did_you_mean(name, classes)}"
            )
    labels = tuple(sorted({label for one in classes if (label := answers.get(one, one)) is not None}))
    if len(labels) < 2:
        only = f"only the label '{labels[0]}'" if labels else "no label"
        where = "'answers' leaves" if answers else "The training data have"
        raise RequestError(f"{where} {only}, expected at least two different ones.")
    return labels


def answer_logits(
    logits: Float[Tensor, "batch classes"],
    classes: Sequence[str],
    labels: Sequence[str],
    answers: Mapping[str, str | None],
) -> Float[Tensor, "batch labels"]:
    """Logits whose softmax is each label's probability: that of all its classes, given that the class has a label."""
    if not answers:
        return logits
    groups = [[place for place, one in enumerate(classes) if answers.get(one, one) == label] for label in labels]
    return torch.stack([logits[:, group].logsumexp(1) for group in groups], dim=1)


def class_weights(config: ClassifyConfig, classes: Sequence[str], found: Sequence[str]) -> tuple[float, ...]:
    """A weight a class; those of `balanced` are such that the mean over examples is 1."""
    match config.class_weights:
        case "none":
            return (1.0,) * len(classes)
        case "balanced":
            return tuple(len(found) / len(classes) / found.count(one) for one in classes)
        case dict() as given:
            for name in given:
                if name not in classes:
                    raise RequestError(
                        f"'class_weights' has '{name}', which is no label of the training data, expected some of "
                        f"{', '.join(classes)}.{did_you_mean(name, classes)}"
                    )
            return tuple(float(given.get(one, 1.0)) for one in classes)
