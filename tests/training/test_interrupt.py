"""Ctrl-C: one request however often it arrives at once, a second one later stops hard."""
import ctypes
import os
import signal
import threading
import time

import pytest

from jt_dfd.training import interrupt
from jt_dfd.training.interrupt import Interrupt


def test_one_request_that_arrives_twice_stops_gently(monkeypatch):
    monkeypatch.setattr(interrupt, "SAME_REQUEST", 600)  # whatever a busy machine puts between the two
    with Interrupt() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # the launcher's copy of it
        time.sleep(0.05)
        assert stop.asked


def test_a_second_request_later_stops_at_once(monkeypatch):
    monkeypatch.setattr(interrupt, "SAME_REQUEST", 0.1)
    with pytest.raises(KeyboardInterrupt):
        with Interrupt() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
            assert stop.asked
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)


def test_a_call_into_the_system_is_not_cut_short():
    """Jittor's lock waits in one, and the run ended where a signal failed it."""
    here, there = os.pipe()
    main = threading.main_thread().ident

    def later():
        time.sleep(0.2)
        signal.pthread_kill(main, signal.SIGUSR1)
        time.sleep(0.4)
        os.write(there, b"x")

    thread = threading.Thread(target=later)
    with Interrupt() as stop:
        thread.start()
        count = ctypes.CDLL(None).read(here, ctypes.create_string_buffer(1), 1)
        assert count == 1 and stop.asked
    thread.join()
    os.close(here)
    os.close(there)
