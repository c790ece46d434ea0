"""Tokens of the Moses scripts, where sacremoses is installed, and what is said where it is not."""

import sys

import pytest

from benchmarks.quality.moses_tokens import moses_tokens
from seqlens.errors import RequestError


def test_french_elisions_are_two_tokens() -> None:
    pytest.importorskip("sacremoses")
    assert moses_tokens(["Un terrier court sur l'herbe."], "fr") == ["Un terrier court sur l' herbe ."]


def test_without_the_library_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(RequestError, match=r"sacremoses is not installed; `pip install 'seqlens\[bench\]'`"):
        moses_tokens(["a"], "fr")
