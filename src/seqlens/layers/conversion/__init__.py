"""Recurrent layers from and to torch, Keras and ONNX."""

from seqlens.layers.conversion.face import Convertible
from seqlens.layers.conversion.keras_layers import KerasLayer
from seqlens.layers.conversion.onnx_nodes import OnnxNode

__all__ = ["Convertible", "KerasLayer", "OnnxNode"]
