"""What the tests of store threads share: a blocking call that is in the test's hands."""

import threading

import trio

LIMIT = 10.0
"""Seconds, hard, for every test."""


class Gate:
    """A blocking call that says when it has begun, and ends when it is told to."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self.begun = trio.Event()
        self._open = threading.Event()
        self.calls: list[object] = []

    def __call__(self, value: object = None) -> object:
        self.calls.append(value)
        self._token.run_sync_soon(self.begun.set)
        assert self._open.wait(LIMIT)
        return value

    def open(self) -> None:
        self._open.set()


def nothing() -> None:
    pass


def store_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("store", "worker"))]
