"""What `seqlens predict` does beside answering: prefixes, required phrases, several runs, reranking."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Invoke = Callable[..., Result]
TEXT = "1 mai 2001"


def answered(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_answer_begins_with_the_prefix(invoke: Invoke, run: Path) -> None:
    lines = answered(invoke("predict", run, "--prefix", "1999-", TEXT, "", "2. 3. 04")).splitlines()
    assert [line[:5] for line in lines] == ["1999-", "", "1999-"]


def test_every_answer_has_the_required_phrases(invoke: Invoke, run: Path) -> None:
    arguments = ["--require", "77", "--require", "0-1", "--json", "--set", "num_best=2"]
    lines = answered(invoke("predict", run, *arguments, TEXT, "", "2. 3. 04")).splitlines()
    first, empty, second = map(json.loads, lines)
    assert empty["text"] == ""
    for answer in (first, *first["alternatives"], second, *second["alternatives"]):
        assert "77" in answer["text"]
        assert "0-1" in answer["text"]


def test_a_refused_prefix_names_the_line_whatever_came_before(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("\n" * 2100 + f"{TEXT}\n")
    result = invoke("predict", run, "--input", tmp_path / "many.txt", "--prefix", "猫")
    assert result.exit_code == 2
    assert "The prefix of input 2101, '猫', has '猫'" in " ".join(result.stderr.split())


def test_the_input_is_not_written_over(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    (tmp_path / "same.txt").write_text(f"{TEXT}\n")
    result = invoke("predict", run, "--input", "same.txt", "--output", tmp_path / "same.txt")
    assert (result.exit_code, "which is the input, expected another file" in result.stderr) == (2, True)
    assert (tmp_path / "same.txt").read_text() == f"{TEXT}\n"


def test_runs_of_two_directions_are_told_of(invoke: Invoke, run: Path) -> None:
    other = Path(shutil.copytree(run, run.parent / "other"))
    assert "are mixed" not in invoke("predict", run, "--with", other, TEXT).stderr
    record = json.loads((other / "run.json").read_text())
    record["data"]["target"] = "fr"
    (other / "run.json").write_text(json.dumps(record))
    for command in (("predict", run, "--with", other, TEXT), ("evaluate", run, "--with", other)):
        assert "other writes 'fr' and" in " ".join(invoke(*command).stderr.split())


def test_a_diverse_list(invoke: Invoke, run: Path) -> None:
    settings = ["beam_width=4", "num_best=4", "diversity_groups=4", "diversity_penalty=100", "min_length=3"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    answer = json.loads(answered(invoke("predict", run, "--json", *arguments, TEXT)))
    beginnings = {one["text"][:1] for one in (answer, *answer["alternatives"])}
    assert len(beginnings) == 4
    result = invoke("predict", run, "--set", "diversity_groups=3", TEXT)
    assert result.exit_code == 2
    assert "diversity_groups is 3, expected a divisor of the beam width" in result.stderr


def test_several_runs_answer_together(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    alone = answered(invoke("predict", run, TEXT))
    assert answered(invoke("predict", run, "--with", run, "--with", run, TEXT)) == alone
    second = shutil.copytree(run, tmp_path / "runs/second")
    table = answered(invoke("evaluate", run, "--with", second, "--set", "method=greedy"))
    alone = answered(invoke("evaluate", run, "--set", "method=greedy"))
    assert f"{run} + {second}" in table
    assert f"{run} +" not in alone
    assert re.findall(r"\d+\.\d+", table.partition(second.name)[2]) == re.findall(
        r"\d+\.\d+", alone.partition(run.name)[2]
    )
    scores = json.loads((run / "evaluation/test-with-second/scores.json").read_text())
    assert scores["with"] == [str(second.resolve())]
    assert scores["scores"] == json.loads((run / "evaluation/test/scores.json").read_text())["scores"]
    assert "with" not in json.loads((run / "evaluation/test/scores.json").read_text())
    # Another run of that name has a folder of its own; the same one has the same.
    other = shutil.copytree(run, tmp_path / "others/second", ignore=shutil.ignore_patterns("evaluation"))
    for which in (other, second):
        answered(invoke("evaluate", run, "--with", which, "--set", "method=greedy"))
    with_runs = {
        path.name: json.loads((path / "scores.json").read_text()).get("with") for path in (run / "evaluation").iterdir()
    }
    assert with_runs == {"test": None, "test-with-second": [str(second)], "test-with-second-2": [str(other)]}


def test_reranking_by_another_run(invoke: Invoke, run: Path) -> None:
    settings = ["--set", "num_best=3", "--set", "beam_width=4"]
    plain = answered(invoke("predict", run, "--json", *settings, TEXT))
    arguments = ["predict", run, "--json", *settings, "--rerank-by", run]
    assert answered(invoke(*arguments, "--rerank-weight", "0", TEXT)) == plain
    weighted = json.loads(answered(invoke(*arguments, TEXT)))
    assert weighted["score"] < json.loads(plain)["score"]
    assert len(weighted["alternatives"]) == 2


def test_reranked_answers_are_scored(invoke: Invoke, run: Path) -> None:
    settings = ["--set", "beam_width=4"]
    answered(invoke("evaluate", run, *settings))
    answered(invoke("evaluate", run, *settings, "--rerank-by", run, "--rerank-weight", "0"))
    plain, unchanged = (run / "evaluation" / name for name in ("test", "test-reranked"))
    assert (plain / "predictions.txt").read_text() == (unchanged / "predictions.txt").read_text()
    answered(invoke("evaluate", run, *settings, "--rerank-by", run, "--rerank-weight", "5"))
    scores = json.loads((unchanged / "scores.json").read_text())
    assert scores["reranked"] == {"by": str(run), "weight": 5.0}
    assert (plain / "predictions.jsonl").read_text() != (unchanged / "predictions.jsonl").read_text()
    refused = invoke("evaluate", run, "--analyse", "--rerank-by", run)
    assert (refused.exit_code, "An analysis looks into one run" in refused.stderr) == (2, True)


def test_what_has_no_effect_is_told(invoke: Invoke, run: Path) -> None:
    listed = invoke("predict", run, "--set", "num_best=2", TEXT)
    assert "only --json shows more" in " ".join(listed.stderr.split())
    assert "--json" not in invoke("predict", run, "--json", "--set", "num_best=2", TEXT).stderr
    warmer = invoke("predict", run, "--set", "temperature=2", "--set", "diversity_penalty=1", TEXT)
    told = " ".join(warmer.stderr.split())
    assert "'temperature' changes nothing: the method of the search is beam" in told
    assert "'diversity_penalty' changes nothing without diversity_groups" in told
    assert warmer.stdout == answered(invoke("predict", run, TEXT))
    record = json.loads((run / "run.json").read_text())
    record["data"] |= {"source": "de", "target": "en"}
    (run / "run.json").write_text(json.dumps(record))
    backwards = Path(shutil.copytree(run, run.parent / "backwards"))
    assert "goes from de to en as" in " ".join(invoke("predict", run, "--rerank-by", run, TEXT).stderr.split())
    record["data"] |= {"source": "en", "target": "de"}
    (backwards / "run.json").write_text(json.dumps(record))
    assert "goes from" not in invoke("predict", run, "--rerank-by", backwards, TEXT).stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--require", " "], "Input 1 has an empty phrase"),
        (["--require", "猫"], "has '猫', which the target vocabulary does not have"),
        (["--require", "1", "--set", "method=greedy"], "beam search only"),
        (["--prefix", "1" * 30, "--set", "max_length=9"], "need 31 tokens with the end, more than .* length 9"),
        (["--rerank-by", "nowhere"], "There is no run folder nowhere"),
        (["--with", "nowhere"], "There is no run folder nowhere"),
        (["--rerank-by", ".", "--rerank-weight", "-2"], "is not a run folder"),
        (["--rerank-weight", "2"], "--rerank-weight is given without --rerank-by"),
        (["--rerank-tag", "2en"], "--rerank-tag is given without --rerank-by"),
        (["--set", "diversity_penalty=1e39"], "is 1e[+]39, expected at most 1000000"),
        (["--rerank-by", "RUN", "--set", "beam_width=1"], "'beam_width' is 1, so there is nothing to rerank"),
        (["--set", "min_length=9", "--set", "max_length=8"], "min_length is 9, expected at most max_length, 8"),
    ],
)
def test_bad_requests_get_a_sentence(invoke: Invoke, run: Path, arguments: list[str], sentence: str) -> None:
    result = invoke("predict", run, *(run if one == "RUN" else one for one in arguments), TEXT)
    assert result.exit_code == 2, result.output
    assert re.search(sentence, " ".join(result.stderr.split()))
    assert result.stdout == ""


def test_an_analysis_looks_into_one_run(invoke: Invoke, run: Path) -> None:
    result = invoke("evaluate", run, "--with", run, "--analyse")
    assert result.exit_code == 2
    assert "leave out the other runs" in " ".join(result.stderr.split())


def test_the_real_command(run: Path) -> None:
    command = [sys.executable, "-m", "seqlens", "predict", str(run), "--with", str(run), "--prefix", "19", "--require"]
    done = subprocess.run([*command, "0-0", TEXT], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("19")
    assert "0-0" in done.stdout


def test_no_file_of_a_run_is_written_over(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "mine")
    for name in ("model.safetensors", "run.json", "codec/source/codec.json"):
        before = (tmp_path / "mine" / name).read_bytes()
        result = invoke("predict", run, "--with", "mine", TEXT, "--output", tmp_path / "mine" / name)
        assert (result.exit_code, "which is a file of the run mine" in " ".join(result.stderr.split())) == (2, True)
        assert (tmp_path / "mine" / name).read_bytes() == before
    assert answered(invoke("predict", run, TEXT, "--output", tmp_path / "mine" / "answers.txt")) == ""
    assert (tmp_path / "mine" / "answers.txt").read_text().count("\n") == 1


def test_answers_are_gzipped_where_the_name_says_so(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    plain = answered(invoke("predict", run, TEXT, "", "2. 3. 04"))
    packed = []
    for name in ("one.gz", "two.txt.gz"):
        answered(invoke("predict", run, TEXT, "", "2. 3. 04", "--output", name))
        packed.append((tmp_path / name).read_bytes())
        assert gzip.decompress(packed[-1]).decode() == plain
    assert packed[0] == packed[1], "equal answers are equal files"
    (tmp_path / "link.gz").symlink_to("real")
    answered(invoke("predict", run, TEXT, "", "2. 3. 04", "--output", "link.gz"))
    assert (tmp_path / "real").read_bytes() == packed[0]


def test_stdin_beside_texts_is_refused(invoke: Invoke, run: Path) -> None:
    result = invoke("predict", run, "-", TEXT)
    assert result.exit_code == 2
    assert "Inputs are given twice, as texts and as '-', which is stdin" in " ".join(result.stderr.split())


def test_a_batch_may_be_as_large_as_one_likes(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(f"{TEXT}\n")
    answer = answered(invoke("predict", run, "--input", "one.txt", "--batch-size", str(10**30)))
    assert answer == answered(invoke("predict", run, TEXT))
