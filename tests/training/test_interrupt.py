"""Ctrl-C: one request however often it arrives at once, a second one later stops hard."""
import os
import signal
import time

import pytest

from jt_dfd.training import interrupt
from jt_dfd.training.interrupt import Interrupt


def test_one_request_that_arrives_twice_stops_gently():
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
