"""Weights laid out once for many calls, and again whenever they are others."""

import copy
from collections.abc import Callable

import pytest
import torch

from seqlens.inference import Predictor, load
from seqlens.inference import kept_stepper as module
from seqlens.models.transducer import Transducer

from .conftest import MakeRun, transformer

TEXTS = ["zwei katzen", "ein mann rennt im schnee"]


@pytest.fixture
def model(make_run: MakeRun) -> Predictor:
    return load(make_run(3, model=transformer()), device="cpu")


def add(network: Transducer) -> None:
    with torch.no_grad():
        network.output.bias[7] += 3.0


def add_unseen(network: Transducer) -> None:
    network.output.bias.data[7] += 3.0  # torch does not count this


def put_another(network: Transducer) -> None:
    network.output.bias = torch.nn.Parameter(torch.linspace(0, 3, len(network.output.bias)))


def read_others(network: Transducer) -> None:
    network.load_state_dict({name: tensor.flip(0) for name, tensor in network.state_dict().items()})


@pytest.mark.parametrize("change", [add, add_unseen, put_another, read_others])
def test_changed_weights_are_laid_out_anew(model: Predictor, change: Callable[[Transducer], None]) -> None:
    before = [answer.log_prob for answer in model.predict(TEXTS)]
    change(model.model)
    found = [(answer.text, answer.log_prob) for answer in model.predict(TEXTS)]
    fresh = model.task.predict(model.model, TEXTS)
    assert found == [(answer.text, answer.log_prob) for answer in fresh]
    assert [log_prob for _, log_prob in found] != before


def test_the_same_weights_are_laid_out_once(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def build(network: Transducer, precision: module.Precision) -> module.Stepper:
        made.append(str(precision.dtype))
        return build_stepper(network, precision)

    build_stepper = module.build_stepper
    monkeypatch.setattr(module, "build_stepper", build)
    first = model.predict(TEXTS)
    for text, answer in zip(TEXTS, first, strict=True):
        assert model.predict(text).text == answer.text
    assert made == ["torch.float32"]
    model.predict(TEXTS, precision="bfloat16")
    model.predict(TEXTS)
    assert made == ["torch.float32", "torch.bfloat16", "torch.float32"]
    again = copy.deepcopy(model)
    assert [answer.text for answer in again.predict(TEXTS)] == [answer.text for answer in first]
    assert len(made) == 4


def test_weights_made_in_inference_mode(make_run: MakeRun) -> None:
    with torch.inference_mode():
        model = load(make_run(3, model=transformer()), device="cpu")
        assert model.predict(TEXTS)[0].text == model.predict(TEXTS)[0].text
