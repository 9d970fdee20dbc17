"""The bridge kit: every sentence of the bridge contract as a law that any stream bridge can be held to."""

from typing import ClassVar, Final, final

import trio

from . import _bridge_laws_reading, _bridge_laws_telling
from ._bridge_laws import BridgeLaw, BridgeOpener
from ._store_laws import name_of

BRIDGE_LAWS: Final[tuple[BridgeLaw, ...]] = (*_bridge_laws_telling.BOOK.laws, *_bridge_laws_reading.BOOK.laws)
"""All laws; each needs a bridge without streams."""


@final
class BridgeKit:
    """Holds a stream bridge to its contract, one law at a time, each under a hard limit.

    With pytest-trio, for a bridge of your own:

        @pytest.mark.parametrize("law", BRIDGE_LAWS, ids=BridgeKit.name)
        async def test_my_bridge(law):
            await BridgeKit(MyBridge).check(law)

    The opener makes a bridge that is not started yet, and has no streams.
    """

    LIMIT: ClassVar = 60.0
    """Seconds of the loop's clock that a law may take."""

    def __init__(self, opener: BridgeOpener) -> None:
        self._opener = opener

    @staticmethod
    def name(law: BridgeLaw) -> str:
        """What a law is called."""
        return name_of(law)

    async def check(self, law: BridgeLaw) -> None:
        """Check one law; raises `AssertionError` when it is broken, `trio.TooSlowError` when it hangs. A checkpoint."""
        with trio.fail_after(self.LIMIT):
            await law(self._opener)
