"""The real command, as a person or a script runs it: exit codes, streams, pipes, signals, full disks."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
HEAVY = ("torch", "numpy", "pydantic", "jaxtyping", "tokenizers", "sacrebleu", "altair", "babel")


def environment(folder: Path) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("SEQLENS_", "OMP_", "GOMP_"))
    }
    # A locale that knows no other letters than ASCII: answers in every script must come through it.
    own = {"OMP_NUM_THREADS": "1", "SEQLENS_CACHE": str(folder / "cache"), "LC_ALL": "C", "PYTHONUTF8": "0"}
    return {**inherited, **own, "PYTHONPATH": os.pathsep.join([str(SOURCE), *sys.path])}


def start(folder: Path, *arguments: str, limit: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
    def prepare() -> None:
        # A test run in the background hands down an ignored Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if limit is not None:
            limit()

    return subprocess.Popen(
        [sys.executable, "-m", "seqlens", *arguments],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=prepare,
    )


def seqlens(
    folder: Path, *arguments: str, input: str = "", code: int = 0, limit: Callable[[], None] | None = None
) -> tuple[str, str]:
    """Runs `seqlens`; returns what came out of stdout and of stderr."""
    program = start(folder, *arguments, limit=limit)
    out, err = program.communicate(input)
    assert program.returncode == code, (out, err)
    assert "Traceback" not in err
    return out, err


def python(folder: Path, program: str, **variables: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**environment(folder), **variables},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, `runs/dates/smoke`."""
    folder = tmp_path_factory.mktemp("folder")
    out, err = seqlens(folder, "train", "dates/smoke")
    assert out == "runs/dates/smoke\n"
    assert "step 1/30  loss" in err
    assert "step 30  validation: loss" in err
    assert "seqlens predict runs/dates/smoke" in err
    assert [path.name for path in folder.iterdir() if path.name != "cache"] == ["runs"]
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A folder of its own for a test, with the run in it."""
    return Path(shutil.copytree(trained, tmp_path / "own"))


RUN = "runs/dates/smoke"


@pytest.mark.parametrize(
    ("arguments", "by_typer"),
    # typer itself reads what comes before and after a command by pydantic
    [("--help", []), ("--version", ["pydantic"]), ("train --help", ["pydantic"]), ("data show --help", ["pydantic"])],
)
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: str, by_typer: list[str]) -> None:
    program = f"""
import sys
sys.argv = ["seqlens", *{arguments!r}.split()]
from seqlens.cli.main import main
try:
    main()
except SystemExit as ending:
    assert ending.code == 0
print({{name for name in {HEAVY!r} if name in sys.modules}} - set({by_typer!r}))
"""
    assert python(tmp_path, program).splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "passive 1000"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
        ({"OMP_WAIT_POLICY": "passive"}, "passive None"),
        ({"GOMP_SPINCOUNT": "7"}, "None 7"),
    ],
)
def test_waiting_threads_sleep_unless_the_user_says_otherwise(
    tmp_path: Path, given: dict[str, str], expected: str
) -> None:
    program = """
import os, sys
sys.argv = ["seqlens", "--version"]
from seqlens.cli.main import main
assert "torch" not in sys.modules
try:
    main()
except SystemExit:
    print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"))
"""
    assert python(tmp_path, program, **given).splitlines()[-1] == expected


def test_from_a_run_to_scores_answers_and_a_look_inside(folder: Path) -> None:
    out, err = seqlens(folder, "evaluate", RUN)
    assert "dates, split test, 40 pairs" in out
    assert "Answering" not in out
    assert "Answering 40 inputs" in err
    assert (folder / RUN / "evaluation/test/scores.json").is_file()

    out, err = seqlens(folder, "inspect", RUN, "attention", "--input", "2009년 6월 25일", "--output", "a.html")
    assert "input   2009년 6월 25일" in out
    assert err == "The report is in a.html.\n"
    assert "2009년 6월 25일" in (folder / "a.html").read_text(encoding="utf-8")


def test_answers_through_a_pipe(folder: Path) -> None:
    texts = ["25 juin 2009", "", "2009년 6월 25일", " ", "xyz"]
    out, err = seqlens(folder, "predict", RUN, "-", input="\n".join(texts) + "\n")
    answers = out.split("\n")
    assert [bool(answer) for answer in answers] == [True, False, True, False, True, False]
    assert err == ""
    out, _ = seqlens(folder, "predict", RUN, "--json", *texts)
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["input"] for record in records] == texts
    assert [record["text"] for record in records] == answers[:-1]


def test_an_answer_comes_before_the_next_question(folder: Path) -> None:
    program = start(folder, "predict", RUN)
    assert program.stdin is not None
    assert program.stdout is not None
    for text in ("25 juin 2009", "26 juin 2009"):
        program.stdin.write(text + "\n")
        program.stdin.flush()
        assert program.stdout.readline().strip()
    assert program.communicate() == ("", "")
    assert program.returncode == 0


def test_a_reader_that_leaves_is_no_fault(folder: Path) -> None:
    (folder / "in.txt").write_text("25 juin 2009\n" * 5000)
    with start(folder, "predict", RUN, "--input", "in.txt", "--set", "method=greedy") as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 128 + signal.SIGPIPE


def test_exit_codes_and_streams_of_failures(folder: Path) -> None:
    out, err = seqlens(folder, "train", "dates/smok", code=2)
    assert (out, err) == ("", "error: There is no recipe 'dates/smok'. Did you mean 'dates/smoke'?\n")
    out, err = seqlens(folder, "trian", code=2)
    assert out == ""
    assert "Did you mean 'train'?" in err
    weights = folder / RUN / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    out, err = seqlens(folder, "predict", RUN, "x", code=1)
    assert out == ""
    assert err.startswith(f"error: {RUN}/model.safetensors is damaged")


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    command = [sys.executable, "-m", "seqlens", "predict", RUN, b"\xff\xfe"]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"error: Text 1 on the command line is not UTF-8.\n"


def full_after(num_bytes: int) -> Callable[[], None]:
    """No file may grow larger, as if the disk were full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def test_a_full_disk_leaves_the_earlier_answers(folder: Path) -> None:
    (folder / "out.txt").write_text("earlier\n")
    (folder / "in.txt").write_text("25 juin 2009\n" * 50)
    arguments = ("predict", RUN, "--input", "in.txt", "--output", "out.txt")
    out, err = seqlens(folder, *arguments, code=1, limit=full_after(100))
    assert out == ""
    assert err.startswith("error: ")
    assert "out.txt could not be written: File too large" in err
    assert (folder / "out.txt").read_text() == "earlier\n"
    assert not list(folder.glob(".*"))


def test_a_full_disk_in_training_is_told_and_the_checkpoint_before_goes_on(folder: Path) -> None:
    arguments = ("train", "dates/smoke", "--out", "full", "--set", "training.max_steps=3")
    _, err = seqlens(folder, *arguments, code=1, limit=full_after(30_000))
    assert err.splitlines()[-1].startswith("error: The checkpoint of step 0 could not be written (")
    seqlens(folder, "train", "--out", "full", "--resume")


STEPS = ("--set", "training.max_steps=60", "--set", "training.validate_every=20")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    seqlens(folder, "train", "dates/smoke", "--out", "whole", *STEPS)
    return folder / "whole"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_resumed_by_commands_equals_uninterrupted(
    folder: Path, whole: Path, number: signal.Signals
) -> None:
    program = start(folder, "train", "dates/smoke", "--out", "stopped", *STEPS)
    assert program.stderr is not None
    for line in program.stderr:
        if line.startswith("step 1/60"):
            program.send_signal(number)
            break
    out, err = program.communicate()
    assert (program.returncode, out) == (130, "")
    assert "seqlens train --out stopped --resume" in err
    assert "Traceback" not in err
    # What is there can be asked already.
    assert seqlens(folder, "predict", "stopped", "25 juin 2009")[0].strip()
    assert seqlens(folder, "train", "--out", "stopped", "--resume")[0] == "stopped\n"
    for name in ("model.safetensors", "log.jsonl", "recipe.yaml", "metrics.json", "codec/source/codec.json"):
        assert (folder / "stopped" / name).read_bytes() == (whole / name).read_bytes(), name


def test_ctrl_c_elsewhere_exits_with_130(folder: Path) -> None:
    program = start(folder, "predict", RUN)
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("25 juin 2009\n")
    program.stdin.flush()
    program.stdout.readline()
    program.send_signal(signal.SIGINT)
    assert program.communicate() == ("", "Interrupted.\n")
    assert program.returncode == 130


def test_ctrl_c_ends_a_comparison_and_not_only_its_first_training(folder: Path) -> None:
    (folder / "second.yaml").write_text((SOURCE / "seqlens/recipes/dates/smoke.yaml").read_text())
    program = start(folder, "compare", "dates/smoke", "second.yaml", "--set", "training.max_steps=2000")
    assert program.stderr is not None
    for line in program.stderr:
        if line.startswith("dates/smoke: step 1/2,000"):
            program.send_signal(signal.SIGINT)
            break
    out, err = program.communicate()
    assert (program.returncode, out) == (130, "")
    assert "second" not in err
    assert err.endswith("\nInterrupted.\n")
