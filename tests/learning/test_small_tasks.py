"""Small tasks that each kind of model must learn: copying and reversing short strings."""

import random
from collections.abc import Callable
from itertools import islice

import pytest
import torch

from seqlens.data.batch import PairBatch, pad
from seqlens.data.examples import Pair
from seqlens.data.text import END_ID, CharactersConfig
from seqlens.decoding import DecodingConfig
from seqlens.models.config import (
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.tasks.transduce.config import SharedCodec, TransduceConfig
from seqlens.tasks.transduce.task import TransduceTask

MODELS = {
    "rnn without attention": (
        RecurrentEncoderConfig(cell="rnn", hidden_dim=64, bidirectional=False),
        RecurrentDecoderConfig(cell="rnn", hidden_dim=64, attention=None),
    ),
    "lstm without attention": (
        RecurrentEncoderConfig(cell="lstm", hidden_dim=64, bidirectional=False),
        RecurrentDecoderConfig(cell="lstm", hidden_dim=64, attention=None),
    ),
    "gru with additive attention": (
        RecurrentEncoderConfig(cell="gru", hidden_dim=48),
        RecurrentDecoderConfig(cell="gru", hidden_dim=48, attention="additive", input_feeding=True),
    ),
    "gru with bilinear attention": (
        RecurrentEncoderConfig(cell="gru_after", hidden_dim=48),
        RecurrentDecoderConfig(cell="gru_after", hidden_dim=48, attention="bilinear"),
    ),
    "transformer": (
        TransformerEncoderConfig(num_layers=1, num_heads=2, dropout_p=0.0),
        TransformerDecoderConfig(num_layers=1, num_heads=2, dropout_p=0.0),
    ),
}


def strings(seed: int, answer: Callable[[str], str]) -> list[Pair]:
    generator = random.Random(seed)
    texts = ("".join(generator.choices("abcd", k=generator.randint(1, 5))) for _ in iter(int, 1))
    return [Pair(text, answer(text)) for text in islice(texts, 1500)]


def batch_of(task: TransduceTask, pairs: list[Pair]) -> PairBatch:
    source = pad([[*task.source_codec.encode(pair.source), END_ID] for pair in pairs])
    target = pad([[*task.target_codec.encode(pair.target or ""), END_ID] for pair in pairs])
    return PairBatch(source, target, tuple(range(len(pairs))))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_to_reverse_strings(name: str) -> None:
    encoder, decoder = MODELS[name]
    model_config = TransducerConfig(embedding_dim=32, encoder=encoder, decoder=decoder, dropout_p=0.0)
    config = TransduceConfig(codec=SharedCodec(text=CharactersConfig()), model=model_config, label_smoothing=0.0)
    train, unseen = strings(1, lambda text: text[::-1]), strings(2, lambda text: text[::-1])[:200]
    task = TransduceTask.fit(config, lambda: train)
    torch.manual_seed(0)
    model = task.build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    generator = random.Random(3)
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * min(1.0, (step + 1) / 20, (400 - step) / 200)
        loss = task.loss(model.train(), batch_of(task, generator.sample(train, 64)))
        optimizer.zero_grad()
        (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    answers = task.predict(model.eval(), [pair.source for pair in unseen], DecodingConfig(method="greedy"))
    right = sum(answer.text == pair.target for answer, pair in zip(answers, unseen, strict=True))
    assert right / len(unseen) >= 0.95
