"""Is it the beam or the model? Whether the model finds the reference more probable than its own answer.

F. Stahlberg and B. Byrne (2019), "On NMT search errors and model errors: cat got your tongue?".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

Measure = Literal["log_prob", "score"]


@final
@dataclass(frozen=True, slots=True)
class Searched:
    """How an answer and its reference stand with the model, `<end>` included.

    `log_prob` is the natural log-probability and `score` what the search ranks by, log_prob / tokens ** length penalty.
    `comparable` is False where the reference has tokens that the vocabulary lacks, or where nothing was searched for.
    """

    log_prob: float
    score: float
    reference_log_prob: float
    reference_score: float
    is_reference: bool
    comparable: bool = True


@final
@dataclass(frozen=True, slots=True)
class Attribution:
    """Rows whose answer is the reference, is a search error, or is a model error; `left_out` could not be compared.

    A search error: the model gives the reference more than the answer, so a better search would not have given this
    answer. A model error: it gives the answer as much or more, so no better search for this value helps.
    """

    measure: Measure
    same: tuple[int, ...]
    search: tuple[int, ...]
    model: tuple[int, ...]
    left_out: tuple[int, ...]

    @property
    def num_compared(self) -> int:
        """Sentences that fell into one of the three kinds."""
        return len(self.same) + len(self.search) + len(self.model)


def attribute(searched: Sequence[Searched], measure: Measure) -> Attribution:
    """Sorts all sentences by what their answer's error is due to."""
    same: list[int] = []
    search: list[int] = []
    model: list[int] = []
    left_out: list[int] = []
    for row, one in enumerate(searched):
        if not one.comparable:
            left_out.append(row)
        elif one.is_reference:
            same.append(row)
        elif _is_search_error(one, measure):
            search.append(row)
        else:
            model.append(row)
    return Attribution(measure, tuple(same), tuple(search), tuple(model), tuple(left_out))


def _is_search_error(one: Searched, measure: Measure) -> bool:
    match measure:
        case "log_prob":
            return one.reference_log_prob > one.log_prob
        case "score":
            return one.reference_score > one.score
