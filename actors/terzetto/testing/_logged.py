"""What is logged while a world is simulated: an error with a traceback is a defect, also where no promise is broken."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from terzetto_protocol.errors import describe

_log: Final = logging.getLogger("terzetto")


class Logged(logging.Handler):
    """Complains of errors that are logged with a traceback; what else is logged goes where it always does.

    Args:
        complain: told in a sentence of each.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._complain: Final = complain

    def emit(self, record: logging.LogRecord) -> None:
        """Look at what was logged. Not a checkpoint."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._complain(f"an error was logged: {record.getMessage()}: {describe(error)}")


@contextmanager
def listening(complain: Callable[[str], None]) -> Generator[None]:
    """Hear of errors that Terzetto logs as long as the block lasts."""
    handler = Logged(complain)
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
