"""The page in Chromium: over a server that is killed, and over a thousand runs and ten thousand events."""

import json
from contextlib import contextmanager

import pytest

from .browsers import Tab, fails_to_connect, open_browser, serving

pytestmark = pytest.mark.slow

RUNS = 1000
EVENTS = 10_000
TASK_MS = 200
"""No task of the page takes longer, on a processor that is four times slower than this one."""


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


def test_goes_on_after_the_server_was_killed(browser, tmp_path):
    """Nothing is missing, nothing comes twice, and what was asked meanwhile is carried out once."""
    with serving(tmp_path) as server:
        tab = Tab(browser, server)
        tab.submit("survivor")
        page = tab.go("run/survivor/events")
        page.get_by_text("sign-off@8 is open").wait_for()
        before = _ids(page)
        server.kill()
        page.get_by_role("alert").get_by_text("The connection is lost.").wait_for()
        page.get_by_role("button", name="Approve").click()
        tab.look("lost")
        server.start()

        page.get_by_text("connected", exact=True).wait_for()
        page.get_by_text("Your approve was taken and is stored.").wait_for()
        tab.wait_status("succeeded")
        page.get_by_text("over: ended").wait_for()
        assert page.get_by_role("alert").filter(has_text="lost").is_hidden()
        after = _ids(page)
        assert before == after[: len(before)]
        assert len(after) == len(set(after))
        kinds = page.locator(".events .row:not(.head) .type").all_inner_texts()
        assert [kinds.count(kind) for kind in ("BarrierResolved", "RunEnded")] == [1, 1]
        assert [] == [text for text in tab.wrong if not fails_to_connect(text)]
        tab.close()


def test_a_busy_run_over_a_kill(browser, tmp_path):
    """Of three thousand visits each is told once, whichever process it was made in."""
    with serving(tmp_path) as server:
        tab = Tab(browser, server)
        tab.submit("busy", "steps", many=3000)
        page = tab.go("run/busy/events")
        page.locator("[data-total]").wait_for()
        while int(page.locator("[data-total]").get_attribute("data-total")) < 500:
            page.wait_for_timeout(20)
        server.kill()
        page.get_by_role("alert").get_by_text("The connection is lost.").wait_for()
        server.start()
        page.get_by_text("over: ended").wait_for(timeout=60_000)
        page.get_by_label("Filter events").fill("nodefinished")

        page.get_by_text("3,001 of").wait_for()
        assert [] == [text for text in tab.wrong if not fails_to_connect(text)]
        tab.close()


def test_what_became_of_an_effect(browser, tmp_path):
    """A kill in the middle of an effect: a person says that it happened, and what its node would have recorded."""
    with serving(tmp_path) as server:
        tab = Tab(browser, server)
        tab.submit("paid", "charge")
        page = tab.go("run/paid")
        page.get_by_role("button", name="pay, once, running").wait_for()
        server.kill()
        server.start()
        page.get_by_role("heading", name="What became of pay").wait_for(timeout=30_000)
        page.get_by_role("button", name="It happened…").click()
        page.get_by_role("button", name="+ Counted").click()
        tab.look("effect")
        page.locator("dialog").get_by_role("button", name="Confirm").click()
        tab.wait_status("succeeded")
        page.get_by_role("tab", name="State").click()
        page.locator(".changes").get_by_text("done").wait_for()
        assert [] == [text for text in tab.wrong if not fails_to_connect(text)]
        tab.close()


def _ids(page):
    """Of all events that are drawn, in their order."""
    page.get_by_label("chunks").uncheck()
    page.get_by_label("follow").uncheck()
    return page.locator(".events .row:not(.head, .gap) > :nth-child(2)").all_inner_texts()


@contextmanager
def no_long_task(browser, tab):
    """On a processor that is four times slower no task of the page takes long; the time of other programs is none."""
    tab.context.new_cdp_session(tab.page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    browser.start_tracing(page=tab.page, categories=["disabled-by-default-devtools.timeline", "__metadata"])
    try:
        yield
    finally:
        trace = browser.stop_tracing()
    events = json.loads(trace)["traceEvents"]
    mains = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    tasks = [e for e in events if e["name"] == "RunTask" and (e["pid"], e["tid"]) in mains]
    assert len(tasks) > 100, "nothing was measured"
    longest = max(task.get("tdur", 0) for task in tasks) / 1000
    print(f"{len(tasks)} tasks, the longest of {longest:.0f} ms")
    assert longest < TASK_MS


def test_a_thousand_runs(browser, tmp_path):
    """Listed, filtered, scrolled to the end; only a window of them is drawn."""
    with serving(tmp_path, runs=RUNS) as server:
        tab = Tab(browser, server)
        with no_long_task(browser, tab):
            page = tab.go()
            page.get_by_text("run-0999").wait_for()
            assert page.locator(".row").count() < 60
            while not page.get_by_text("run-0000").count():
                page.locator(".row[tabindex='0']").press("End")
                page.get_by_role("status").get_by_text("live").wait_for()
            page.get_by_role("status").get_by_text("1,000").wait_for()
            page.get_by_role("button", name="failed").click()
            page.get_by_role("status").get_by_text("100 · live").wait_for()
            page.get_by_role("button", name="failed").click()
            page.get_by_label("Find in this list").fill("run-05")
            page.get_by_role("row").get_by_text("run-0599").wait_for()
            tab.look("thousand")
        assert [] == tab.wrong
        tab.close()


def test_ten_thousand_events(browser, tmp_path):
    """Each is told or counted as missing, the last ones are kept, and the page answers all the time."""
    with serving(tmp_path) as server:
        tab = Tab(browser, server)
        with no_long_task(browser, tab):
            tab.submit("loud", "talk", many=EVENTS)
            page = tab.go("run/loud/events")
            page.get_by_role("button", name="Approve").click()
            page.get_by_text("NodeFinished").first.wait_for(timeout=60_000)
            header = page.locator("[data-total]")
            total, missed = (int(header.get_attribute(f"data-{what}")) for what in ("total", "missed"))
            assert total + missed >= EVENTS
            assert total > EVENTS / 2
            assert page.locator(".row").count() < 60
            tab.look("loud")
            page.get_by_label("Filter events").fill("word 9999")
            page.locator(".events .row").get_by_text("word 9999").wait_for()
        assert [] == tab.wrong
        tab.close()


def test_ten_thousand_durable_events(browser, tmp_path):
    """A run of many visits: its time line, its commits and its events stay in step with it."""
    with serving(tmp_path) as server:
        tab = Tab(browser, server)
        with no_long_task(browser, tab):
            tab.submit("long", "steps", many=EVENTS // 2)
            page = tab.go("run/long")
            tab.wait_status("succeeded", seconds=120)
            page.get_by_text("5,001", exact=True).first.wait_for(timeout=30_000)
            tab.look("long")
            page.get_by_role("tab", name="History").click()
            page.get_by_role("row").filter(has_text="step 5000").wait_for()
            page.get_by_role("tab", name="Events").click()
            page.get_by_text("RunEnded").wait_for()
        assert [] == tab.wrong
        tab.close()
