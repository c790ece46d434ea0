"""The means to look inside: functions from a model and an input to a frozen result."""

from seqlens.inspection.attention import AttentionMap, attention_map
from seqlens.inspection.gates import GateTrace, encoder_gates
from seqlens.inspection.gradients import GradientThroughTime, gradient_through_time, gradient_warning

__all__ = [
    "AttentionMap",
    "GateTrace",
    "GradientThroughTime",
    "attention_map",
    "encoder_gates",
    "gradient_through_time",
    "gradient_warning",
]
