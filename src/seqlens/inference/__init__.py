"""From a run folder and a raw input to a typed answer."""

from seqlens.inference.device import choose_device
from seqlens.inference.predictor import Predictor, load
from seqlens.inference.rerank import Reranker, ReversedRun, Scorer, TextScore, TunedWeight, tune_weight
from seqlens.inference.run_folder import LoadedRun, describe_machine, read_record, read_run, write_run

__all__ = [
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
    "read_record",
    "read_run",
    "tune_weight",
    "write_run",
]
