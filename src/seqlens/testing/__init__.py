"""Assertions about sequence modules that hold for anybody's `nn.Module`, not only for those of seqlens.

Padding never changes an answer; chunks equal the whole; steps equal the whole; two modules are one function. Each
assertion raises `AssertionError` and says which sequence, step or parameter is off, in which tensor, and how far.

A tensor `a` equals `b` where `max|a - b| <= tolerance * max|b|`; the tolerance is 1e-10 in float64 and 1e-5 in
float32 unless stated, and must be stated for narrower numbers.

    from seqlens.testing import assert_padding_invariant
    assert_padding_invariant(my_encoder, (inputs, lengths))
"""

from seqlens.testing.padding import assert_padding_invariant
from seqlens.testing.pieces import assert_chunks_equal_whole, assert_steps_equal_whole
from seqlens.testing.same import assert_same_function

__all__ = [
    "assert_chunks_equal_whole",
    "assert_padding_invariant",
    "assert_same_function",
    "assert_steps_equal_whole",
]
