"""The measures of a tagger: of all entities, by label, and of those that training has and has not."""

from collections.abc import Callable, Sequence
from functools import partial

from seqlens.data.tagged.records import Entity, TaggedText
from seqlens.data.tagged.schemes import TokenSpan
from seqlens.metrics import Statistics
from seqlens.metrics.spans import span_statistics


def surface(example: TaggedText, entity: Entity) -> str:
    """The words of an entity, by which it counts as seen in training or not: case and spacing do not matter."""
    return " ".join(example.text[entity.start : entity.stop].casefold().split())


def measure(truth: Sequence[Sequence[TokenSpan]], found: Sequence[Sequence[TokenSpan]]) -> dict[str, Statistics]:
    """`f1`, `precision` and `recall`, as seqeval counts."""
    return {str(name): of for name, of in span_statistics(truth, found).items()}


def measure_texts(
    examples: Sequence[TaggedText],
    found: Sequence[Sequence[Entity]],
    *,
    labels: Sequence[str],
    seen: frozenset[str],
) -> dict[str, Statistics]:
    """The same, then `f1 LABEL` where there are several labels, then `f1_seen` and `f1_unseen`.

    The latter two are of the entities, true and found, whose words are an entity of training, and of all others. Where
    none of a part is true there is nothing to find, and its measure is left out.
    """

    def part(name: str, keep: Callable[[TaggedText, Entity], bool]) -> dict[str, Statistics]:
        truth, answers = [], []
        for example, entities in zip(examples, found, strict=True):
            truth.append(_spans([entity for entity in example.entities if keep(example, entity)]))
            answers.append(_spans([entity for entity in entities if keep(example, entity)]))
        return {str(key): of for key, of in span_statistics(truth, answers, name=name).items()}

    measures = part("", lambda example, entity: True)
    parts: list[tuple[str, str, Callable[[TaggedText, Entity], bool]]] = []
    if len(labels) > 1:
        parts = [(label, label, partial(_has_label, label)) for label in labels]
    parts += [
        ("seen", "seen entities'", lambda example, entity: surface(example, entity) in seen),
        ("unseen", "new entities'", lambda example, entity: surface(example, entity) not in seen),
    ]
    for key, name, keep in parts:
        if any(keep(example, entity) for example in examples for entity in example.entities):
            measures[f"f1_{key}"] = part(name, keep)["f1"]
    return measures


def _has_label(label: str, _: TaggedText, entity: Entity) -> bool:
    return entity.label == label


def _spans(entities: Sequence[Entity]) -> list[TokenSpan]:
    return [(entity.start, entity.stop, entity.label) for entity in entities]
