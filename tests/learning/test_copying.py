"""Words that no training pair has are copied by a model with a copy mechanism, and by no other."""

import random

import pytest
import torch

from seqlens.data.batch import PairBatch, pad
from seqlens.data.examples import Pair
from seqlens.data.text import WordsConfig
from seqlens.decoding import DecodingConfig
from seqlens.models.config import (
    DecoderConfig,
    EncoderConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.tasks.transduce.config import SharedCodec, TransduceConfig
from seqlens.tasks.transduce.task import TransduceTask

MODELS: dict[str, tuple[EncoderConfig, DecoderConfig]] = {
    "gru": (
        RecurrentEncoderConfig(hidden_dim=32),
        RecurrentDecoderConfig(hidden_dim=32, attention="additive", input_feeding=True),
    ),
    "transformer": (
        TransformerEncoderConfig(num_layers=1, num_heads=2, dropout_p=0.0),
        TransformerDecoderConfig(num_layers=1, num_heads=2, dropout_p=0.0),
    ),
}
KNOWN = ["red", "blue", "old", "new"]


def pairs(seed: int, count: int, prefix: str) -> list[Pair]:
    """`old kuvo red` becomes `see kuvo here`: one name of many, which is said again between known words."""
    generator = random.Random(seed)
    made = []
    for number in range(count):
        name = f"{prefix}{number}"
        words = [*generator.choices(KNOWN, k=generator.randint(1, 4))]
        words.insert(generator.randint(0, len(words)), name)
        made.append(Pair(" ".join(words), f"see {name} here"))
    return made


def batch_of(task: TransduceTask, some: list[Pair]) -> PairBatch:
    encoded = [task.encode_pair(pair.source, pair.target or "") for pair in some]
    return PairBatch(pad([row for row, _ in encoded]), pad([row for _, row in encoded]), tuple(range(len(some))))


def right_share(name: str, *, copy: bool) -> float:
    encoder, decoder = MODELS[name]
    model_config = TransducerConfig(embedding_dim=32, encoder=encoder, decoder=decoder, dropout_p=0.0, copy=copy)
    codec = SharedCodec(text=WordsConfig(vocab_size=40))
    task = TransduceTask.fit(TransduceConfig(codec=codec, model=model_config), lambda: pairs(1, 1000, "a"))
    train, unseen = pairs(1, 1000, "a"), pairs(2, 100, "b")
    torch.manual_seed(0)
    model = task.build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    generator = random.Random(3)
    for _ in range(150):
        loss = task.loss(model.train(), batch_of(task, generator.sample(train, 32)))
        optimizer.zero_grad()
        (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    answers = task.predict(model.eval(), [pair.source for pair in unseen], DecodingConfig(beam_width=2))
    return sum(answer.text == pair.target for answer, pair in zip(answers, unseen, strict=True)) / len(unseen)


@pytest.mark.parametrize("name", MODELS)
def test_words_never_seen_are_copied(name: str) -> None:
    assert right_share(name, copy=True) >= 0.95


@pytest.mark.parametrize("name", MODELS)
def test_without_copying_they_are_not(name: str) -> None:
    assert right_share(name, copy=False) == 0.0
