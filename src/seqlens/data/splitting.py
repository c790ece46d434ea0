"""Which split a sentence belongs to where the data come without splits: for good, by a hash of the sentence.

The hash is taken after normalisation, so sentences that differ in case, width or spacing stay together.
Neither the line of a sentence nor a seed decides, nor, save for corpora of very few sentences, what else is
in the file.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def normalise_sentence(text: str) -> str:
    """Returns the form in which two sentences count as equal: NFKC, case folded, each stretch of white space
    one space.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def hash_sentence(text: str) -> int:
    """Returns a whole number of 64 bits, equal for sentences that are equal after `normalise_sentence`."""
    return int.from_bytes(blake2b(normalise_sentence(text).encode("utf-8"), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class HashRule:
    """Hashes below `validation_end` are validation, from there and below `test_end` test, all others train."""

    validation_end: int
    test_end: int

    @classmethod
    def of_fractions(cls, validation_fraction: float, test_fraction: float) -> "HashRule":
        """Returns the rule that gives each of the two splits about this fraction of many different sentences."""
        return cls(int(validation_fraction * 2**64), int((validation_fraction + test_fraction) * 2**64))

    def split_of(self, text: str) -> str:
        """Returns the split of a sentence."""
        return self.split_of_hash(hash_sentence(text))

    def split_of_hash(self, value: int) -> str:
        """Returns the split of a sentence whose hash is `value`."""
        return VALIDATION if value < self.validation_end else TEST if value < self.test_end else TRAIN


def find_rule(sentences: Iterable[str], *, validation_fraction: float, test_fraction: float) -> HashRule:
    """Returns the rule for these fractions of the different sentences, reading only as many as it takes to be
    sure that no split wanted stays empty (a few hundred of a large corpus).

    Where one would stay empty, because there are few sentences, it gets the one with the smallest hash that
    is left; train is served first, then validation, then test. A fraction of 0 means that the split is not
    wanted.
    """
    plain = HashRule.of_fractions(validation_fraction, test_fraction)
    wanted = {TRAIN} | ({VALIDATION} if validation_fraction else set()) | ({TEST} if test_fraction else set())
    found: set[str] = set()
    seen: set[int] = set()  # stays small: once every split is served, reading ends
    for sentence in sentences:
        value = hash_sentence(sentence)
        seen.add(value)
        found.add(plain.split_of_hash(value))
        if wanted <= found:
            return plain
    return _rule_for_few(sorted(seen), plain, wanted)


def _rule_for_few(hashes: list[int], plain: HashRule, wanted: set[str]) -> HashRule:
    """Returns the rule by which the first of the sorted hashes go to validation, the next to test, the rest
    to train.
    """
    num_validation = sum(value < plain.validation_end for value in hashes)
    num_test = sum(value < plain.test_end for value in hashes) - num_validation
    if VALIDATION in wanted:
        num_validation = max(num_validation, 1)
    if TEST in wanted:
        num_test = max(num_test, 1)
    spare = len(hashes) - 1  # one is for train
    num_validation = max(min(num_validation, spare), 0)
    num_test = max(min(num_test, spare - num_validation), 0)
    # One less for validation, if that is what gives test its one.
    if TEST in wanted and num_test == 0 and num_validation > 1:
        num_validation, num_test = num_validation - 1, 1
    return HashRule(
        validation_end=_end_after(hashes, num_validation),
        test_end=_end_after(hashes, num_validation + num_test),
    )


def _end_after(hashes: list[int], count: int) -> int:
    return hashes[count - 1] + 1 if count else 0
