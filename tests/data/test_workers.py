"""Worker processes: order, errors, deaths."""
import os
import signal
import time

import pytest

from jt_dfd.data import workers as module
from jt_dfd.data.workers import WorkerDied, Workers

HERE = f"{__name__}:make"


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__(a)


def make(factor=1):
    def answer(kind, value):
        if kind == "sleep":
            time.sleep(value)
        elif kind == "fail":
            raise ValueError(f"cannot do {value}")
        elif kind == "odd":
            raise Unpicklable("strange", value)
        elif kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "print":
            print("noise on standard output")
        return value * factor

    return answer


def test_answers_come_in_order_however_long_each_takes():
    jobs = [("sleep", 0.2 if i % 3 == 0 else 0.0) for i in range(9)]
    with Workers(3, HERE, 10) as pool:
        assert [answer for _, answer in pool.map(jobs)] == [10 * value for _, value in jobs]


def test_a_failing_job_gives_its_exception_and_the_others_go_on():
    with Workers(2, HERE) as pool:
        answers = [answer for _, answer in pool.map([("x", 1), ("fail", 2), ("odd", 3), ("x", 4), ("print", 5)])]
    assert answers[0] == 1 and answers[3] == 4 and answers[4] == 5
    assert isinstance(answers[1], ValueError) and "cannot do 2" in str(answers[1])
    assert isinstance(answers[2], module.WorkerError) and "strange" in str(answers[2])


def test_large_answers_do_not_block():
    with Workers(2, HERE, b"x" * 3_000_000) as pool:
        assert [len(a) for _, a in pool.map([("x", 1)] * 20, ahead=8)] == [3_000_000] * 20


def test_a_dead_worker_is_reported_with_its_job():
    with Workers(1, HERE) as pool:
        with pytest.raises(WorkerDied, match="signal 9.*die"):
            list(pool.map([("x", 1), ("die", 2), ("x", 3)]))


def test_a_dead_worker_is_reported_with_its_job_however_late_the_caller_comes():
    with Workers(1, HERE) as pool:
        pool.submit(0, "x", 1)
        pool.submit(0, "die", 2)
        pool._processes[0].wait()
        pool.submit(0, "x", 3)   # nobody reads this any more
        assert pool.result(0) == 1
        with pytest.raises(WorkerDied, match="signal 9.*die"):
            pool.result(0)


def test_a_factory_that_fails_tells_why():
    with Workers(1, "jt_dfd.data.portrait:Options", "no such frame") as pool:
        pool.submit(0, 1)
        with pytest.raises(ValueError, match="frame"):
            pool.result(0)


def test_workers_are_gone_after_closing():
    pool = Workers(2, HERE)
    pids = [p.pid for p in pool._processes]
    pool.submit(0, "sleep", 0.1)
    pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
