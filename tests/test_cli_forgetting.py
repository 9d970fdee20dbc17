"""The command line forgets: `truncate` and `delete`, here and through an owner (SEMANTICS 3.2, 3.5; 11)."""

from .commands import started


def test_a_log_is_cut_where_nobody_owns_the_store(shop, call, told):
    """3.2: no graph is asked for it."""
    call("run", "shop:asking", "--run-id", "a")

    assert (0, "2 commits of run a are gone\n", "") == call("truncate", "a", "3")
    assert {"type": "truncated", "run_id": "a", "count": 0, "durable": True} == told("truncate", "a", "3")["receipt"]
    assert [3] == [commit["seq"] for commit in told("history", "a")["commits"]]
    code, _, errors = call("truncate", "a", "9")
    assert 2 == code
    assert "commits 1 to 3, and no 9" in errors
    assert 2 == call("truncate", "b", "1")[0]
    assert 0 == call("decide", "a", "--approve")[0]
    assert 0 == call("resume", "a", "shop:asking")[0]


def test_a_run_that_has_ended_is_deleted_where_nobody_owns_the_store(shop, call, told):
    """3.5: one that has not is refused, in a sentence."""
    call("run", "shop:good", "--run-id", "g")
    call("run", "shop:asking", "--run-id", "a")

    assert (0, "run g is deleted, with 3 commits\n", "") == call("delete", "g")
    code, output, errors = call("delete", "a")
    assert (2, "") == (code, output)
    assert "it is AWAITING_INPUT, and only a run that has ended is deleted: cancel it first" in errors
    assert 2 == call("delete", "g")[0]
    assert ["a"] == [line["run_id"] for line in told("runs")["runs"]]
    assert 0 == call("run", "shop:good", "--run-id", "g")[0]


def test_the_owner_of_the_store_forgets_for_others(shop, call, told):
    """11: commands of others wait in an inbox that the owner notices."""
    call("run", "shop:good", "--run-id", "g")
    with started(shop, "run", "shop:asking", "--run-id", "a", "--stay") as owner:
        owner.until("terzetto decide")

        assert "2 commits of run a are gone" in call("truncate", "a", "3")[1]
        deleted = told("delete", "g")
        assert {"type": "deleted", "run_id": "g", "count": 3, "durable": True} == deleted["receipt"]
        code, _, errors = call("delete", "a")
        assert 2 == code
        assert "cancel it first" in errors
        assert 0 == call("decide", "a", "--approve")[0]
        assert 0 == owner.end()[0]


def test_a_checkpoint_is_named_in_the_history(shop, call):
    (shop / "marked.py").write_text(
        "import terzetto\nfrom shop import Order, Paid\n"
        "graph = terzetto.Graph('marked', state=Order, mutations=[Paid])\n"
        "@graph.node\n"
        "async def pay(ctx: terzetto.NodeContext[Order]) -> None:\n"
        "    ctx.checkpoint('paid at last')\n"
        "graph.start(pay)\n"
    )
    call("run", "marked", "--run-id", "m")

    assert "pay@1 finished; checkpoint 'paid at last'" in call("history", "m")[1]
