"""The precision of training: that of `layers.precision`, under the name it has here."""

from seqlens.layers.precision import Precision, PrecisionChoice, choose_precision

__all__ = ["Precision", "PrecisionChoice", "choose_precision"]
