"""The page in Chromium: runs are submitted, watched, decided by keyboard, cancelled and forked."""

import pytest

from .browsers import TOKENS, Tab, open_browser, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("page")) as server:
        yield server


@pytest.fixture
def tab(browser, server):
    tab = Tab(browser, server)
    yield tab
    assert [] == tab.wrong, "the page complained"
    tab.close()


def test_submit_and_watch(tab):
    """A run that is submitted in the form is listed, and its graph and its time line follow it to the barrier."""
    tab.submit("watched", topic="Rivers", words=700)
    page = tab.page
    page.get_by_role("row").get_by_text("awaiting input").wait_for()
    page.get_by_role("row").filter(has_text="watched").click()
    tab.wait_status("awaiting input")

    write = page.get_by_role("button", name="write, node, succeeded ×2")
    write.wait_for()
    page.get_by_role("button", name="sign-off, barrier, awaiting input, sign-off@8 is open").wait_for()
    page.get_by_role("button", name="publish, once, not visited").wait_for()
    web = page.get_by_role("row").filter(has=page.get_by_title("research/web/web"))
    assert web.locator(".bar.try.failed").count() == 2
    assert web.locator(".bar.wait.retry").count() == 2
    assert page.get_by_role("article", name="Barrier sign-off@8").get_by_text("Rivers, in 700 words").count() == 2

    write.click()
    page.get_by_text("2 at write").wait_for()
    tab.look("watched")


def test_approve_by_keyboard_alone(tab):
    """From the list to the decision without a pointer."""
    tab.submit("typed")
    page = tab.page
    page.get_by_role("row").filter(has_text="typed").get_by_text("awaiting input").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("typed")
    page.get_by_role("status").get_by_text("1 · live").wait_for()
    _tab_to(page, "[role=row]:focus")
    page.keyboard.press("Enter")
    tab.wait_status("awaiting input")
    page.evaluate("document.activeElement.blur()")
    _tab_to(page, "button.primary:focus")
    page.keyboard.press("Enter")

    page.get_by_text("Your approve was taken and is stored.").wait_for()
    tab.wait_status("succeeded")


def _tab_to(page, selector):
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(selector).count():
            return
    pytest.fail(f"no way to {selector} by Tab")


def test_modify_by_the_form_of_the_state(tab):
    """Only what was changed is sent, and the state has it."""
    tab.submit("modified")
    page = tab.go("run/modified")
    page.get_by_role("button", name="Modify…").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("topic", exact=True).fill("Seas")
    dialog.get_by_label("urgent", exact=True).check()
    dialog.get_by_role("button", name="Change 2 fields and approve").click()
    tab.wait_status("succeeded")
    page.get_by_role("tab", name="State").click()
    page.get_by_text('"Seas"').wait_for()
    page.get_by_role("tab", name="History").click()
    page.get_by_role("row").filter(has_text="decide").first.click()
    page.get_by_text('"modify"').first.wait_for()


def test_a_question_of_a_body(tab):
    """What it showed is what can be modified; its exits are known to it alone."""
    tab.submit("asking", "ask")
    page = tab.go("run/asking")
    page.get_by_role("button", name="Modify…").click()
    page.locator("dialog").get_by_label("text", exact=True).fill("Please")
    page.locator("dialog").get_by_label("copies", exact=True).fill("3")
    page.get_by_role("button", name="Change 2 fields and approve").click()
    tab.wait_status("succeeded")
    tab.go("run/asking/state").get_by_text('"approved: Please, 3 times"').first.wait_for()

    tab.submit("asked", "ask")
    page = tab.go("run/asked")
    page.get_by_role("button", name="Other exit…").click()
    page.locator("dialog").get_by_label("Exit").fill("later")
    page.locator("dialog").get_by_role("button", name="Choose").click()
    tab.wait_status("succeeded")


def test_a_refusal_stands_beside_its_button(tab):
    """The code, and what to do; the dialog stays as it was."""
    tab.submit("refused")
    page = tab.go("run/refused")
    page.get_by_role("button", name="Fork…").click()
    page.get_by_label("New run").fill("not a run id")
    page.locator("dialog").get_by_role("button", name="Fork", exact=True).click()

    page.locator("dialog").get_by_role("alert").get_by_text("invalid_request").wait_for()
    assert page.get_by_label("New run").input_value() == "not a run id"


def test_cancel(tab):
    tab.submit("cancelled")
    page = tab.go("run/cancelled")
    tab.wait_status("awaiting input")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_label("Reason", exact=True).fill("not needed")
    page.locator("dialog").get_by_role("button", name="Cancel", exact=True).click()

    tab.wait_status("cancelled")
    page.get_by_text("is open no more").wait_for()
    assert page.get_by_role("button", name="Pause").is_disabled()
    assert page.get_by_role("button", name="Retry…").is_enabled()


def test_fork_undo_and_the_tree(tab):
    """A fork stands at its commit; what an undo took back is a branch of its own."""
    tab.submit("grown")
    page = tab.go("run/grown/history")
    tab.wait_status("awaiting input")
    page.get_by_role("row").filter(has_text="join").click()
    page.get_by_role("button", name="Fork from here…").click()
    page.get_by_label("New run").fill("grown-2")
    page.locator("dialog").get_by_role("button", name="Fork", exact=True).click()
    page.get_by_role("link", name="⤷ grown-2").wait_for()

    page.get_by_role("button", name="Undo…").click()
    page.get_by_label("Steps").fill("2")
    page.locator("dialog").get_by_role("button", name="Undo", exact=True).click()
    page.locator(".row.undone").first.wait_for()
    tree = page.get_by_role("region", name="Forks, retries and reruns")
    assert "from commit 10" in tree.inner_text()
    assert "1 undo" in tree.inner_text()
    tab.look("tree")
    tree.get_by_role("link", name="grown-2").click()
    page.get_by_role("link", name="grown@10").wait_for()


def test_retry_rerun_truncate_and_delete(tab):
    """Each makes a run of a run, or forgets some of it."""
    tab.submit("first", "broken")
    page = tab.go("run/first")
    tab.wait_status("failed")
    for command, name in (("Retry", "again"), ("Rerun", "anew")):
        page.get_by_role("button", name=f"{command}…").click()
        dialog = page.locator("dialog")
        dialog.get_by_label("New run").fill(name)
        if command == "Rerun":
            dialog.get_by_label("many", exact=True).fill("7")
        dialog.get_by_role("button", name=command, exact=True).click()
        page.get_by_text(f"{name} is submitted").wait_for()
    tab.go("run/anew/state?at=1").get_by_role("heading", name="As of commit 1").wait_for()
    page.locator(".part").first.get_by_text("7").wait_for()

    tab.go("run/first")
    page.get_by_role("button", name="Truncate…").click()
    page.locator("dialog").get_by_role("button", name="Truncate", exact=True).click()
    page.get_by_text("of first forgotten").wait_for()
    page.get_by_role("button", name="Delete…").click()
    page.locator("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url("**/#/runs")
    page.get_by_role("row").get_by_text("again", exact=True).wait_for()
    assert not page.get_by_role("row").get_by_text("first", exact=True).count()


def test_decide_early_and_withdraw(tab):
    tab.submit("early", "talk", many=3)
    page = tab.go("run/early")
    tab.wait_status("awaiting input")
    kept, withdrawn = "kept for go", "1 kept decision for go withdrawn"
    for what, told in (("approve, each time", kept), ("withdraw what is kept", withdrawn)):
        page.get_by_role("button", name="Decide early…").click()
        page.get_by_label("Decision").select_option(what)
        page.locator("dialog").get_by_role("button", name="Keep").click()
        page.get_by_text(told).wait_for()


def test_state_at_any_commit(tab):
    """With what that commit changed."""
    tab.submit("travelled")
    page = tab.go("run/travelled")
    tab.wait_status("awaiting input")
    page = tab.go("run/travelled/state?at=11")
    page.get_by_role("heading", name="As of commit 11").wait_for()
    page.locator(".changes li[data-kind=added]").get_by_text("sections[0]").wait_for()
    page.get_by_role("button", name="The commit before").click()
    page.get_by_role("heading", name="Difference to commit 9").wait_for()
    tab.look("state")


def test_a_run_that_fails_says_why(tab):
    tab.submit("failed", "broken")
    page = tab.go("run/failed")
    tab.wait_status("failed")
    page.get_by_role("note").get_by_text("nothing can be divided by nothing").wait_for()
    page.get_by_role("tab", name="Details").click()
    page.get_by_text("ZeroDivisionError").first.wait_for()


def test_a_command_that_makes_no_sense_says_why(tab):
    """By keyboard, too: the button can be reached and pressed."""
    tab.submit("ready")
    page = tab.go("run/ready")
    tab.wait_status("awaiting input")
    resume = page.get_by_role("button", name="Resume")
    assert resume.is_disabled()
    resume.press("Enter")
    page.get_by_role("alert").get_by_text("the run is not paused").wait_for()
    page.get_by_role("button", name="Pause").click()
    tab.wait_status("paused")
    resume.click()
    tab.wait_status("awaiting input")


def test_statistics(tab):
    page = tab.go("statistics")
    page.get_by_text("everything is well").wait_for()
    page.get_by_role("heading", name="persistence").wait_for()


def test_two_browsers_and_one_barrier(browser, tmp_path):
    """There is one winner, and both are told who: the token says whose a decision is."""
    with serving(tmp_path, tokens=True) as server:
        ann, bob = Tab(browser, server), Tab(browser, server)
        for name, tab in (("ann", ann), ("bob", bob)):
            tab.go().get_by_label("Token of this console").fill(TOKENS[name])
            tab.page.get_by_role("button", name="Connect").click()
            tab.page.get_by_role("heading", name="Runs").wait_for()
            assert TOKENS[name] not in tab.page.url
        ann.submit("contested")
        for tab in (ann, bob):
            tab.go("run/contested").get_by_role("button", name="Approve").wait_for()
        press = "(at) => setTimeout(() => document.querySelector('.barrier button.primary')?.click(), at - Date.now())"
        moment = ann.page.evaluate("Date.now()") + 500
        for tab in (ann, bob):  # one of them may be told before the press
            tab.page.evaluate(press, moment)

        said = [tab.page.locator(".barrier .outcome").inner_text() for tab in (ann, bob)]
        won = [text for text in said if text == "Your approve was taken and is stored."]
        winner = "ann" if said[0] in won else "bob"
        assert len(won) == 1
        assert f"was decided: approve by {winner}" in next(text for text in said if text not in won)
        for tab in (ann, bob):
            assert [] == tab.wrong
            tab.page.get_by_role("button", name="Leave").click()
            tab.page.get_by_label("Token of this console").wait_for()
            tab.close()


def test_a_wrong_token_is_told(browser, tmp_path):
    """And the next one is taken."""
    with serving(tmp_path, tokens=True) as server:
        tab = Tab(browser, server)
        page = tab.go()
        page.get_by_label("Token of this console").fill("not-the-right-one-123")
        page.get_by_role("button", name="Connect").click()
        page.get_by_role("alert").get_by_text("the server did not take this token").wait_for()
        page.get_by_label("Token of this console").fill(TOKENS["bob"])
        page.get_by_role("button", name="Connect").click()
        page.get_by_role("heading", name="Runs").wait_for()
        tab.close()
