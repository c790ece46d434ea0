"""What an evaluation of a run that writes texts found, and its files in the run folder."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from seqlens.config import Overrides, read_json, to_plain, write_atomically, write_json
from seqlens.data.codecs.marks import tag_name
from seqlens.decoding import DecodingConfig
from seqlens.errors import WorkError
from seqlens.inference import describe_machine
from seqlens.inference.predictor import Predictor
from seqlens.inference.rerank import Reranker
from seqlens.metrics import Score
from seqlens.report import write_report
from seqlens.tasks.transduce.analysis import Analysis
from seqlens.tasks.transduce.analysis.results import score_fields
from seqlens.tasks.transduce.answer import Translation
from seqlens.workflows.analyse_report import analysis_report
from seqlens.workflows.evaluation_data import as_items

SCORES_FILE = "scores.json"
ANALYSIS_FILE, ANALYSIS_PAGE = "analysis.json", "analysis.html"


@dataclass(frozen=True, slots=True)
class Evaluation(Mapping[str, Score]):
    """Scores by name, such as `evaluation["bleu"].value`; the baselines' scores; the answers, in the data's order."""

    run: Path
    data: str
    split: str
    scores: dict[str, Score]
    baseline_scores: dict[str, dict[str, Score]]
    sources: tuple[str, ...]
    references: tuple[str, ...]
    answers: tuple[Translation, ...]
    fingerprint: str
    folder: Path | None
    """Where answers and scores were written."""
    reference_log_probs: tuple[float, ...] = ()
    """The natural log-probability of every reference under the model."""
    answered_by: str = ""
    """The run, or all that answered together, and who reranked the answers."""
    analysis: Analysis | None = None
    """By kinds of sentences and of errors, where it was asked for."""

    def __getitem__(self, name: str) -> Score:
        return self.scores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def size(self) -> str:
        """How much was answered, in words."""
        return f"{len(self.sources):,} {'pair' if len(self.sources) == 1 else 'pairs'}"


def evaluation_folder(
    predictor: Predictor, split: str, data: str | Path | None, tag: str | None, *, reranked: bool
) -> Path:
    """Where an evaluation is written: by what was scored, and by who answered."""
    if data is not None:
        tagged = "" if tag is None else f"-{tag_name(tag)}"
        split = f"{Path(data).resolve().name}{tagged}-{split}"
    answering = [split + "-reranked" * reranked, *(other.path.name for other in predictor.others)]
    return predictor.path / "evaluation" / "-with-".join(answering)


def origin_of(
    result: Evaluation,
    predictor: Predictor,
    data: str | Path | None,
    reranker: Reranker | None,
    data_settings: Overrides = (),
) -> dict[str, object]:
    """What was scored, and by whom; it tells evaluations whose folders would have one name apart."""
    return {
        **({"with": [str(other.path.resolve()) for other in predictor.others]} if predictor.others else {}),
        **({} if reranker is None else {"reranked": reranker.describe()}),
        **data_origin(result.data, data, result.fingerprint, data_settings),
    }


def told_answering(predictor: Predictor, reranker: Reranker | None) -> str:
    """Who answered, in a few words."""
    together = " + ".join(str(one.path) for one in (predictor, *predictor.others))
    return together if reranker is None else f"{together}, reranked by {reranker.describe()['by']}"


def data_origin(
    name: str, data: str | Path | None, fingerprint: str, data_settings: Overrides = ()
) -> dict[str, object]:
    """Which data were scored; other ones than the run's own with the place where they are, and how they were read."""
    place = {} if data is None or not Path(data).exists() else {"path": str(Path(data).resolve())}
    read_with = {"data_settings": sorted(as_items(data_settings))} if data_settings else {}
    return {"data": name, **place, **read_with, "fingerprint": fingerprint}


def folder_of_its_own(wanted: Path, origin: Mapping[str, object]) -> Path:
    """`wanted`, or with a number after it where it holds the scores of something else that has the same name."""
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        there = _read_record(folder / SCORES_FILE)
        if there is None:
            return folder
        if _answering(there) == _answering(origin) and _of_same_data(there, origin):
            return folder
    raise AssertionError("numbers do not end")


def _read_record(path: Path) -> dict[str, Any] | None:
    """What an evaluation wrote; None where there is none, or a damaged one, which is written anew."""
    try:
        record = read_json(path) if path.is_file() else None
    except WorkError:
        return None
    return record if isinstance(record, dict) else None


def _answering(record: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """Which runs answer and rerank; with what settings they do, the newest scores tell.

    Earlier versions noted paths as they were typed.
    """
    by = record.get("reranked", {}).get("by")
    place = str(Path(by).resolve()) if by and Path(by).exists() else by
    return [str(Path(path).resolve()) for path in record.get("with", ())], place


def _of_same_data(there: Mapping[str, object], origin: Mapping[str, object]) -> bool:
    """Equal data, or those of one place, read alike, which may have changed since."""
    if there.get("fingerprint") == origin["fingerprint"]:
        return True
    if there.get("data_settings", []) != origin.get("data_settings", []):
        return False
    place = "path" if "path" in there and "path" in origin else "data"
    return there.get(place) == origin[place]


def _are_same_answers(folder: Path, lines: str, decoding: Mapping[str, object]) -> bool:
    """Whether what was written before are these answers of this model, found alike, but for the last bits.

    Those depend on the batch; another model's log-probabilities differ by more.
    """
    record, path = _read_record(folder / SCORES_FILE), folder / "predictions.jsonl"
    if record is None or record.get("decoding") != dict(decoding) or not path.is_file():
        return False
    try:
        before = _read_lines(path.read_text(encoding="utf-8"))
    except ValueError:  # damaged
        return False
    after = _read_lines(lines)
    return len(before) == len(after) and all(_is_same_line(*pair) for pair in zip(before, after, strict=True))


def _read_lines(text: str) -> list[Any]:
    # Not splitlines(): a text may hold U+2028, which that takes for a line's end.
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def _is_same_line(before: object, after: Mapping[str, Any]) -> bool:
    if not isinstance(before, dict) or before.keys() != after.keys():
        return False
    return all(
        math.isclose(before[name], value, rel_tol=1e-5, abs_tol=1e-4)
        if isinstance(value, float) and isinstance(before[name], float)
        else before[name] == value
        for name, value in after.items()
    )


def write_evaluation(
    result: Evaluation,
    folder: Path,
    predictor: Predictor,
    decoding: Mapping[str, object],
    origin: Mapping[str, object],
) -> None:
    """Writes answers and scores; an analysis goes if it is of other answers."""

    def lines(texts: Sequence[str]) -> str:
        # A line break inside an answer would shift all lines after it.
        return "".join(text.replace("\r", " ").replace("\n", " ") + "\n" for text in texts)

    written = {
        "predictions.txt": lines([answer.text for answer in result.answers]),
        "references.txt": lines(result.references),
        "predictions.jsonl": "".join(_prediction_lines(result)),
    }
    decoding = search_fields(predictor, decoding)
    if not _are_same_answers(folder, written["predictions.jsonl"], decoding):
        for name in (ANALYSIS_FILE, ANALYSIS_PAGE):
            (folder / name).unlink(missing_ok=True)
    for name, text in written.items():
        write_atomically(folder / name, text)
    write_json(
        folder / SCORES_FILE,
        {
            "scores": {name: score_fields(score) for name, score in result.scores.items()},
            "baselines": {
                baseline: {name: score_fields(score) for name, score in scores.items()}
                for baseline, scores in result.baseline_scores.items()
            },
            **origin,
            "split": result.split,
            "decoding": decoding,
            "seed": predictor.record.get("seed"),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
        },
    )


def _prediction_lines(result: Evaluation) -> Iterator[str]:
    """A JSON object a sentence: the texts as they are, and how probable answer and reference are under the model."""
    for source, reference, answer, reference_log_prob in zip(
        result.sources, result.references, result.answers, result.reference_log_probs, strict=True
    ):
        fields = {
            "source": source,
            "answer": answer.text,
            "reference": reference,
            "log_prob": answer.log_prob,
            "score": answer.score,
            "reference_log_prob": reference_log_prob,
        }
        yield json.dumps(fields, ensure_ascii=False) + "\n"


def write_analysis(result: Evaluation, analysis: Analysis, folder: Path, command: str) -> None:
    """Writes an analysis as JSON and as a page; `command` makes it again."""
    machine = describe_machine()
    facts = {
        "data": f"{result.data}, split {result.split}, fingerprint {result.fingerprint}",
        "command": command,
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"torch {machine['torch']}, Python {machine['python']}",
    }
    texts = list(zip(result.sources, result.references, [answer.text for answer in result.answers], strict=True))
    report = analysis_report(analysis, texts, title=f"Analysis of {result.run.name}", facts=facts)
    write_json(folder / ANALYSIS_FILE, analysis.to_plain())
    write_report(report, folder / ANALYSIS_PAGE)


def search_fields(predictor: Predictor, changes: Mapping[str, object]) -> dict[str, object]:
    """The settings of the run's search with these changes."""
    config: DecodingConfig = predictor.task.config.decoding
    return {**to_plain(config), **changes}
