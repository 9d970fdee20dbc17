"""`terzetto_protocol.progress_view`: branches count at their places, and subgraphs show at theirs."""

from terzetto_protocol.decisions import Approve
from terzetto_protocol.statuses import VisitStatus

from .machines import Driver
from .sketches import body, sketch
from .test_progress_view import each, graph_of, seen, within

_V = VisitStatus

# -- branches ------------------------------------------------------------------------------------------------------


def test_branches_count_at_their_place_and_the_map_says_how_many_have_ended():
    driver = Driver(each(4, limit=2)).claim()
    assert seen(driver) == {"scans": (_V.RUNNING, 1, "0 of 4 branches"), "scan": (_V.RUNNING, 2, "")}
    driver.finish()
    assert seen(driver) == {
        "scans": (_V.RUNNING, 1, "1 of 4 branches"),
        "scan": (_V.RUNNING, 3, "2 running, 1 succeeded"),
    }
    for _ in range(3):
        driver.finish()
    assert seen(driver) == {
        "scans": (_V.SUCCEEDED, 1, "4 branches"),
        "scan": (_V.SUCCEEDED, 4, ""),
        "end": (_V.RUNNING, 1, ""),
    }


def test_branches_that_failed_are_counted_where_failures_are_collected():
    driver = Driver(each(3, errors="collect")).claim()
    driver.fail("ValueError: no")
    driver.finish()
    driver.finish()

    assert seen(driver)["scan"] == (_V.SUCCEEDED, 3, "2 succeeded, 1 failed")
    status, visits, note = seen(driver)["scans"]
    assert (status, visits) == (_V.FAILED, 1)
    assert "1 of 3 branches" in note


def test_a_failure_cancels_the_siblings_and_what_they_did_may_be_unknown():
    """5.5: `fail_fast` cancels the siblings; 7: a `once` visit ended by a fail-fast sibling is UNKNOWN."""
    graph = graph_of("x", "z", "mend")
    graph.node(name="y", effects="once")(body)
    graph.parallel("fan", ["x", "y", "z"], merge="replay")
    graph.start("fan")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail("ValueError: no", node="x")
    driver.leave("y")
    driver.leave("z")

    assert seen(driver) == {
        "fan": (_V.FAILED, 1, "ValueError: no"),
        "x": (_V.FAILED, 1, "ValueError: no"),
        "y": (_V.UNKNOWN, 1, ""),
        "z": (_V.CANCELLED, 1, ""),
        "mend": (_V.RUNNING, 1, ""),
    }


def test_a_place_whose_branches_a_cancel_ends_is_cancelled_too():
    driver = Driver(each(2)).claim()
    driver.cancel()
    driver.settle()

    assert seen(driver) == {"scans": (_V.CANCELLED, 1, "0 of 2 branches"), "scan": (_V.CANCELLED, 2, "")}


def test_the_last_branch_that_goes_on_says_what_it_waits_for():
    graph = graph_of("scan")
    gate = graph.barrier("gate")
    graph.map("scans", "scan", over=lambda tally: range(2), item=int, merge="replay")
    graph.start("scans")
    graph.edge("scan", gate)
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()

    assert seen(driver)["gate"] == (_V.AWAITING_INPUT, 2, "")
    first, second = driver.disk.open_barriers()
    driver.decide(Approve(), barrier=first)
    assert seen(driver)["gate"] == (_V.AWAITING_INPUT, 2, f"{second} is open")


def test_branches_of_branches_are_counted_by_their_own_forks():
    graph = each(2)
    graph.parallel("both", ["left", "right"], merge="replay")
    graph.node(name="left")(body)
    graph.node(name="right")(body)
    graph.edge("scan", "both")
    driver = Driver(graph).claim()
    for node in ("scans/0/scan", "scans/1/scan", "scans/1/both/left/left"):
        driver.finish(node=node)

    assert seen(driver) == {
        "scans": (_V.RUNNING, 1, "0 of 2 branches"),
        "scan": (_V.SUCCEEDED, 2, ""),
        "both": (_V.RUNNING, 2, ""),
        "left": (_V.RUNNING, 2, "1 running, 1 succeeded"),
        "right": (_V.RUNNING, 2, ""),
    }
    driver.finish(node="scans/1/both/right/right")
    assert seen(driver)["scans"] == (_V.RUNNING, 1, "1 of 2 branches")
    assert seen(driver)["both"] == (_V.RUNNING, 2, "0 of 2 branches")


# -- subgraphs -----------------------------------------------------------------------------------------------------


def test_what_happens_in_a_subgraph_shows_at_its_place_only():
    """Both graphs have a place `write`."""
    inner = sketch("write gate:barrier", "write>gate")
    driver = Driver(within(inner)).claim()
    driver.finish()

    assert seen(driver) == {"write": (_V.SUCCEEDED, 1, ""), "sub": (_V.RUNNING, 1, "at write")}
    driver.finish()
    assert seen(driver) == {"write": (_V.SUCCEEDED, 1, ""), "sub": (_V.AWAITING_INPUT, 1, "sub/gate@4 is open")}
    driver.decide(barrier="sub/gate@4")
    assert seen(driver) == {
        "write": (_V.SUCCEEDED, 1, ""),
        "sub": (_V.SUCCEEDED, 1, ""),
        "end": (_V.RUNNING, 1, ""),
    }


def test_a_subgraph_shows_what_happens_in_its_own_subgraphs_and_branches():
    driver = Driver(within(within(each(2)))).claim()
    driver.finish()
    driver.finish()
    driver.finish(node="sub/sub/scans/0/scan")

    assert seen(driver) == {"write": (_V.SUCCEEDED, 1, ""), "sub": (_V.RUNNING, 1, "at scan")}


def test_subgraphs_in_branches_are_told_apart():
    graph = graph_of("scan")
    graph.subgraph("sub", sketch("scan gate:barrier", "scan>gate"))
    graph.map("scans", "sub", over=lambda tally: range(3), item=int, merge="replay")
    graph.start("scans")
    driver = Driver(graph).claim()

    assert seen(driver) == {"scans": (_V.RUNNING, 1, "0 of 3 branches"), "sub": (_V.RUNNING, 3, "")}
    for number in (0, 1, 2):
        driver.finish(node=f"scans/{number}/sub/scan")
    first, second, third = driver.disk.open_barriers()
    driver.decide(barrier=first)
    driver.decide(barrier=second)
    assert seen(driver) == {
        "scans": (_V.RUNNING, 1, "2 of 3 branches"),
        "sub": (_V.AWAITING_INPUT, 3, f"{third} is open"),
    }
