"""A node that ends its process, whenever it is started (SEMANTICS 2.6): see `zoo_child.py`."""

from pathlib import Path

import pytest
import trio

from terzetto.stores import open_store
from terzetto_protocol.limits import CLAIMS

from .runtimes import both
from .stores import trail

CHILD = Path(__file__).with_name("zoo_child.py")
CODES = {"exits": 7, "is killed": -9, "aborts": -6, "becomes another": 0}


@both
@pytest.mark.parametrize("how", CODES)
def test_a_run_that_ends_every_process_is_given_up(how, dispatch, forks, tmp_path):
    """2.6: three lost owners, and the fourth fails it without starting its node; the run beside it goes on."""
    file = tmp_path / "runs.db"
    lives = [forks.live(str(CHILD), str(file), how, dispatch) for _ in range(CLAIMS + 1)]
    assert [CODES[how]] * CLAIMS + [0] == [life.code for life in lives], lives[-1].errors
    assert [["FAILED", "recovery_exhausted"]] == lives[-1].all("bad")
    assert ["SUCCEEDED"] == lives[-1].all("good")
    assert ["begun"] * CLAIMS == Path(f"{file}.log").read_text().split()

    async def look():
        async with open_store(f"sqlite:{file}", guest=True) as store:
            return await trail(store, "bad")

    assert "end -> FAILED" == trio.run(look)[-1]
