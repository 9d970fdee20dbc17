"""How the page looks and is reached: light and dark, wide and narrow, by name, and with enough contrast."""

import re

import pytest

from .browsers import Tab, open_browser, serving
from .test_page_files import PAGE

CONTRAST = 4.5
"""What small text needs against what is behind it, as WCAG 2.2 (1.4.3) says."""
CSS = (PAGE / "styles.css").read_text(encoding="utf-8")
TONES = ("pending", "running", "waiting", "retrying", "unknown", "good", "bad", "off")
PLACES = (
    "runs",
    "run/seen",
    "run/seen/events",
    "run/seen/state",
    "run/seen/history",
    "run/seen/details",
    "barriers",
    "statistics",
)

NAMELESS = """() => [...document.querySelectorAll("button, a[href], input, select, textarea, [tabindex]")]
    .filter((each) => each.offsetParent !== null)
    .filter((each) => !(each.getAttribute("aria-label") || each.innerText || each.textContent || each.labels?.length))
    .map((each) => each.outerHTML.slice(0, 120))"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def colours(scheme):
    light, dark = CSS.split("@media (prefers-color-scheme: dark)")[:2]
    found = dict(re.findall(r"--([\w-]+): (#\w+);", light))
    return found if scheme == "light" else {**found, **dict(re.findall(r"--([\w-]+): (#\w+);", dark.split("\n}")[0]))}


def brightness(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((brightness(one), brightness(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(scheme):
    """Every ink on every ground that it stands on."""
    known = colours(scheme)
    pairs = [(ink, ground) for ink in ("ink", "dim", "accent") for ground in ("paper", "pane", "hover", "chosen")]
    pairs += [(tone, f"{tone}-fill") for tone in TONES] + [(tone, "pane") for tone in TONES]
    pairs += [("on-accent", "accent"), ("ink", "bad-fill"), ("ink", "waiting-fill"), ("ink", "good-fill")]

    assert {} == {
        pair: round(contrast(*(known[name] for name in pair)), 2)
        for pair in pairs
        if contrast(*(known[name] for name in pair)) < CONTRAST
    }


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("look"), runs=40) as server:
        tab = Tab(browser, server)
        tab.submit("seen")
        tab.go("run/seen")
        tab.wait_status("awaiting input")
        tab.close()
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("scheme, wide", [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_every_place_in_every_light(browser, server, scheme, wide):
    """Nothing is wider than the window, everything that can be reached has a name, and nothing is complained of."""
    tab = Tab(browser, server, wide=wide, scheme=scheme)
    for place in PLACES:
        page = tab.go(place)
        page.locator("h1").wait_for()
        page.wait_for_timeout(500)
        tab.look(f"{scheme}-{wide}-{place.replace('/', '-')}")
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(WIDER) <= 0, place
    page.goto(f"{server.url}#/run/seen")
    page.get_by_role("button", name="Modify…").click()
    page.locator("dialog fieldset").first.wait_for()
    tab.look(f"{scheme}-{wide}-modify")
    assert page.evaluate(NAMELESS) == []
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.innerText") == "Modify…", "the focus goes back"
    assert [] == tab.wrong
    tab.close()
