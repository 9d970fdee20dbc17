"""What is logged in a simulated world: a traceback is a complaint, and nothing else is."""

import logging

import pytest

from terzetto._hub import Hub
from terzetto.testing import PromiseBroken, invent, sweep
from terzetto.testing._logged import listening

LOG = logging.getLogger("terzetto")


def test_a_traceback_is_a_complaint():
    problems: list[str] = []
    with listening(problems.append):
        LOG.warning("run %r: slow", "r", exc_info=ValueError("no error"))
        LOG.error("run %r is stuck", "r")
        LOG.error("run %r broke off", "r", exc_info=ValueError("bad"))
    LOG.error("nobody listens", exc_info=ValueError("any more"))

    assert ["an error was logged: run 'r' broke off: ValueError: bad"] == problems


def test_a_run_that_breaks_off_ends_its_world(monkeypatch):
    """Nothing is lost by it, for the run is claimed again; and yet it is a defect."""
    publish = Hub.publish

    def breaks(self, event):
        publish(self, event)
        if type(event).__name__ == "NodeStarted" and event.id >> 32 == 1:
            raise RuntimeError("oh")

    monkeypatch.setattr(Hub, "publish", breaks)
    with pytest.raises(PromiseBroken, match=r"an error was logged: run 'r.' broke off.*RuntimeError: oh"):
        sweep(invent, range(20))
