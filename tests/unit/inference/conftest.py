"""Tiny runs of both directions, untrained: what they say is arbitrary, but always the same."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqlens.data.examples import Pair
from seqlens.data.text import CharactersConfig, SubwordsConfig, TextCodecConfig, WordsConfig
from seqlens.inference import Predictor, load, write_run
from seqlens.models.config import (
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.tasks.transduce.config import SeparateCodecs, SharedCodec, TransduceConfig
from seqlens.tasks.transduce.task import TransduceTask

PAIRS = [
    ("ein hund rennt", "a dog runs"),
    ("zwei hunde im schnee", "two dogs in the snow"),
    ("eine katze, ein hund", "a cat, a dog"),
    ("der mann (alt) rennt", "the man (old) runs"),
]

MakeRun = Callable[..., Path]


def recurrent() -> TransducerConfig:
    return TransducerConfig(
        embedding_dim=12,
        encoder=RecurrentEncoderConfig(hidden_dim=8),
        decoder=RecurrentDecoderConfig(hidden_dim=12),
    )


def transformer() -> TransducerConfig:
    return TransducerConfig(
        embedding_dim=12,
        encoder=TransformerEncoderConfig(num_layers=1, num_heads=2, feed_forward_dim=16),
        decoder=TransformerDecoderConfig(num_layers=1, num_heads=2, feed_forward_dim=16),
    )


CODECS: dict[str, TextCodecConfig] = {
    "words": WordsConfig(),
    "characters": CharactersConfig(),
    "subwords": SubwordsConfig(vocab_size=300),
    "joiners": SubwordsConfig(vocab_size=300, joiners=True),
}


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Writes a run with random weights of a seed and returns its folder."""

    def make(
        seed: int = 0,
        *,
        codec: str = "words",
        source_codec: str = "words",
        model: TransducerConfig | None = None,
        pairs: Sequence[tuple[str, str]] = PAIRS,
        reverse: bool = False,
        shared: bool = False,
        copy: bool = False,
    ) -> Path:
        model = replace(model or recurrent(), copy=copy)
        separate = SeparateCodecs(source=CODECS[source_codec], target=CODECS[codec])
        config = TransduceConfig(codec=SharedCodec(text=CODECS[codec]) if shared or copy else separate, model=model)
        sides = [pair[::-1] if reverse else pair for pair in pairs]
        task = TransduceTask.fit(config, lambda: [Pair(source, target) for source, target in sides])
        torch.manual_seed(seed)
        network = task.build_model()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(3.0)  # else every word is about as probable as any other
        folder = tmp_path_factory.mktemp("runs") / f"run-{seed}"
        write_run(folder, task, network, {})
        return folder

    return make


@pytest.fixture(scope="session")
def predictor(make_run: MakeRun) -> Predictor:
    return load(make_run(1), device="cpu")
