"""Workers answer as one process does, and leave nothing behind."""

import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError, WorkError
from seqlens.inference import Predictor, load
from seqlens.inference.checks import checksums
from seqlens.inference.workers import Work, WorkerPool
from seqlens.tasks.transduce.batches import LONG
from tests.unit.inference.conftest import MakeRun, transformer

RUN = Path(__file__).parents[2] / "compat" / "run-format-1"
TEXTS = ["25 juin 2009", "", "2009년 6월 25일", "Thursday, June 25, 2009", " ", "1 May 1999 😀", "x"]


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker: sums in another order end in other bits
    opened = load(RUN, device="cpu")
    yield opened
    opened.close()
    torch.set_num_threads(threads)


def test_workers_answer_as_one_process_does_in_the_order_of_the_inputs(predictor: Predictor) -> None:
    alone = predictor.predict(TEXTS, batch_size=2, num_best=2)
    together = predictor.predict(TEXTS, batch_size=2, num_best=2, workers=2)
    assert [answer.to_plain() for answer in together] == [answer.to_plain() for answer in alone]
    assert predictor.predict(TEXTS[0], workers=2, align=False).alignment is None
    assert predictor.predict([], workers=2) == []
    assert predictor.predict(["", " "], workers=2) == predictor.predict(["", " "])


@pytest.mark.usefixtures("predictor")  # one thread
def test_what_a_worker_keeps_of_a_transformer_is_that_of_the_precision_asked_for(make_run: MakeRun) -> None:
    opened = load(make_run(model=transformer()), device="cpu")
    texts = ["ein hund rennt", "zwei hunde im schnee", "eine katze", "der mann", "ein mann im schnee"]
    try:
        for precision in ("float32", "bfloat16", "float32"):
            alone = opened.predict(texts, batch_size=2, precision=precision)
            together = opened.predict(texts, batch_size=2, precision=precision, workers=1)
            assert [answer.to_plain() for answer in together] == [answer.to_plain() for answer in alone]
    finally:
        opened.close()


def test_bad_requests_are_told(predictor: Predictor) -> None:
    with pytest.raises(RequestError, match="'workers' is 0, expected 1 or more"):
        predictor.predict(TEXTS, workers=0)
    with pytest.raises(RequestError, match="beam_widht"):
        predictor.predict(TEXTS, workers=2, beam_widht=3)
    changed = load(RUN, device="cpu")
    with torch.no_grad():
        changed.model.output.bias.add_(1.0)
    with pytest.raises(RequestError, match="weights were changed since it was loaded"):
        changed.predict(TEXTS, workers=2)


def test_a_worker_that_dies_is_told_and_none_is_left(predictor: Predictor) -> None:
    pool = WorkerPool(RUN, 2, checksums(predictor.model))
    work = [Work([text], 1, DecodingConfig(method="greedy"), False) for text in TEXTS]
    assert [len(answers) for answers in pool.answer(work)] == [1] * len(TEXTS)
    processes = pool._processes
    processes[0].send_signal(signal.SIGKILL)
    with pytest.raises(WorkError, match="A worker process ended with exit code -9"):
        pool.answer(work)
    assert pool.closed
    assert all(process.poll() is not None for process in processes)


def test_errors_of_a_worker_are_those_of_one_process(tmp_path: Path) -> None:
    pool = WorkerPool(tmp_path / "nowhere", 1, {})
    with pytest.raises(RequestError, match="There is no run folder"):
        pool.answer([Work(["x"], 1, DecodingConfig(), True)])
    assert pool.closed


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in Linux' /proc")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_asks(end: signal.Signals, tmp_path: Path) -> None:
    program = (
        "import signal\n"
        "from seqlens.inference import load\n"
        # Whoever is started in the background is told to ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"predictor = load({str(RUN)!r}, device='cpu')\n"
        "predictor.predict(['1 May 1999', 'x'], batch_size=1, workers=2)\n"
        "print(*(process.pid for process in predictor._pool._processes), flush=True)\n"
        "predictor.predict(['1 May 1999'] * 100_000, batch_size=1, workers=2)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        try:
            # Ctrl-C reaches every process of the terminal.
            os.killpg(process.pid, end) if end == signal.SIGINT else process.send_signal(end)
            process.wait(timeout=180)
        finally:
            process.kill()
    waited = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in workers):
        assert time.monotonic() - waited < 180
        time.sleep(0.1)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:
        return "Z"


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.bfloat16(),
        lambda model: model.output.bias.data.mul_(2.0),
        lambda model: torch.nn.utils.vector_to_parameters(torch.ones(2000), [model.output.bias]),
    ],
    ids=["another type", "written past autograd", "put in whole"],
)
def test_every_way_to_change_weights_is_noticed(change: Callable[[torch.nn.Module], object]) -> None:
    changed = load(RUN, device="cpu")
    change(changed.model)
    with pytest.raises(RequestError, match="weights were changed since it was loaded"):
        changed.predict(TEXTS, workers=2)


def test_a_run_may_be_loaded_in_inference_mode() -> None:
    with torch.inference_mode():
        loaded = load(RUN, device="cpu")
        assert loaded.predict(TEXTS[0]).text


@pytest.mark.usefixtures("predictor")  # one thread
def test_long_texts_are_answered_by_workers_in_the_same_batches(make_run: MakeRun) -> None:
    opened = load(make_run(model=transformer()), device="cpu")
    texts = [" ".join(["ein hund rennt im schnee"] * count) for count in (90, 70, 80, 60, 1)]
    assert len(opened.task.encode_sources(opened.model, texts)[0][3]) > LONG
    try:
        settings = {"batch_size": 4, "method": "greedy", "max_length": 4}
        alone = opened.predict(texts, **settings)
        together = opened.predict(texts, workers=2, **settings)
        assert [answer.to_plain() for answer in together] == [answer.to_plain() for answer in alone]
    finally:
        opened.close()


def test_threads_get_their_own_answers(predictor: Predictor) -> None:
    asked = {"first": TEXTS * 4, "second": TEXTS[::-1] * 4}
    alone = {name: [answer.text for answer in predictor.predict(texts)] for name, texts in asked.items()}
    found: dict[str, list[list[str]]] = {name: [] for name in asked}

    def ask(name: str) -> None:
        for _ in range(4):
            answers = predictor.predict(asked[name], workers=2, batch_size=1)
            found[name].append([answer.text for answer in answers])

    threads = [threading.Thread(target=ask, args=(name,)) for name in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, texts in alone.items():
        assert found[name] == [texts] * 4


def test_workers_do_not_answer_with_another_training_of_the_same_name(tmp_path: Path, make_run: MakeRun) -> None:
    run = tmp_path / "run"
    shutil.copytree(make_run(1), run)
    opened = load(run, device="cpu")
    opened.predict(["ein hund", "eine katze"], workers=2, batch_size=1)
    opened.close()
    shutil.rmtree(run)
    shutil.copytree(make_run(2), run)
    with pytest.raises(RequestError, match="was changed since it was loaded, so workers cannot answer with it"):
        opened.predict("ein hund", workers=2)


def test_a_predictor_is_copied_and_pickled() -> None:
    opened = load(RUN, device="cpu")
    for other in (copy.copy(opened), copy.deepcopy(opened), pickle.loads(pickle.dumps(opened))):
        assert other.predict(TEXTS[0]).text == opened.predict(TEXTS[0]).text
