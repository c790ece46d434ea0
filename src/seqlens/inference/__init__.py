"""From a run folder and a raw input to a typed answer."""

from seqlens.inference.device import choose_device
from seqlens.inference.example_predictor import ExamplePredictor
from seqlens.inference.loading import load, load_transducer
from seqlens.inference.predictor import Predictor
from seqlens.inference.rerank import Reranker, ReversedRun, Scorer, TextScore, TunedWeight, tune_weight
from seqlens.inference.run_folder import LoadedExampleRun, LoadedRun, describe_machine, read_record, read_run, write_run

__all__ = [
    "ExamplePredictor",
    "LoadedExampleRun",
    "LoadedRun",
    "Predictor",
    "Reranker",
    "ReversedRun",
    "Scorer",
    "TextScore",
    "TunedWeight",
    "choose_device",
    "describe_machine",
    "load",
    "load_transducer",
    "read_record",
    "read_run",
    "tune_weight",
    "write_run",
]
