"""`terzetto_protocol.wire_errors`: errors have codes that stay, come back as their class, and tell no secrets."""

import inspect
from typing import get_args

import pytest

from terzetto_protocol import errors
from terzetto_protocol.errors import TerzettoError
from terzetto_protocol.wire import read_frame, write_frame
from terzetto_protocol.wire_errors import CODES, WireCode, WireError, error_of, failed

GIVEN = {
    "mistakes": ["one", "two"], "error": ValueError("no"), "fields": ["a"], "frames": (), "seconds": 1.5, "number": 2,
    "waiting": 3, "retry_after": 2.5, "epoch": 1, "current": 2, "count": 4, "failures": [("b", "no")], "seq": 5,
    "earliest": 6, "visit": 7, "stack": ["/srv/app/secret.py:1"], "branches": ["x", "y"],
}  # fmt: skip
"""Arguments that are no text."""
KINDS = [TerzettoError, *(kind for _, kind in inspect.getmembers(errors, inspect.isclass)
                          if issubclass(kind, TerzettoError) and kind is not TerzettoError)]  # fmt: skip


def made(kind):
    names = [each.name for each in inspect.signature(kind.__init__).parameters.values() if each.kind.name[0] == "P"][1:]
    return kind(*(GIVEN.get(name, f"the {name}") for name in names)) if names else kind("what")


def told(error, number=1):
    return read_frame(write_frame(failed(number, error)))


def test_every_error_has_a_code_of_its_own():
    assert set(KINDS) == set(CODES)
    assert len({*CODES.values(), *get_args(WireCode)}) == len(CODES) + len(get_args(WireCode))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_comes_back_as_its_class_with_its_message_and_its_data(kind):
    error = made(kind)
    frame = told(error)
    back = error_of(frame)

    assert (CODES[kind], type(back)) == (frame.code, kind)
    assert frame.message == str(back)
    if not issubclass(kind, errors.StoreError):
        assert str(error).replace("\n", " ").split() == str(back).split()
    for name, value in frame.data.items():
        assert value == "" or getattr(error, name) == getattr(back, name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_place_on_the_server_and_no_stack_is_told(kind):
    error = made(kind)
    for name in vars(error):
        if name in ("store", "stack", "place", "reason"):
            setattr(error, name, "/srv/secret")
    secret = issubclass(kind, errors.StoreError) or kind is errors.StuckNode
    frame = told(kind.__new__(kind, "at /srv/secret") if kind in (errors.StoreError, errors.StoreInUse) else error)

    assert not secret or "secret" not in str(frame)


def test_a_subclass_is_told_as_what_is_known_of_it():
    class Special(errors.Refused):
        pass

    assert ("refused", {"run_id": "r"}) == (told(Special("r", "no")).code, told(Special("r", "no")).data)


@pytest.mark.parametrize("error", [ValueError("/srv/x"), KeyError("k"), BaseExceptionGroup("g", [SystemExit(1)])])
def test_of_other_errors_nothing_is_told(error):
    frame = told(error)

    assert ("internal", {}) == (frame.code, frame.data)
    assert WireError is type(error_of(frame))
    assert "/srv" not in frame.message


def test_a_message_that_cannot_be_sent_is_made_one_that_can():
    frame = told(errors.MutationFailed("Wrote\ud800", ValueError("\udfff" + "x" * 9000)))

    assert "\\ud800" in frame.message
    assert len(frame.message) < 5000
    assert "Wrote\\ud800" == frame.data["mutation"]


def test_a_code_that_is_new_to_this_client_is_an_error_with_that_code():
    error = WireError("fancy", "what?", "$.ask", {"a": 1})
    back = error_of(told(error))

    assert ("fancy", "what?", "$.ask", {"a": 1}) == (back.code, str(back), back.path, back.data)
