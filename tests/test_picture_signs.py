"""Signs of a picture: no two statuses look alike, and a legend tells what they mean."""

import re
from xml.etree import ElementTree as ET

from terzetto_protocol.picture import svg
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import VisitStatus

from .pictures import NS, VISITS, article, groups, one_of_each, parsed, texts


def test_no_two_statuses_have_the_same_sign_or_the_same_colour():
    root = parsed(one_of_each())
    signs = [ET.tostring(group.findall(f"{NS}path")[0]) for _, _, group in groups(groups(root, "legend")[0][2], "sign")]
    css = root.findtext(f"{NS}style", "")

    assert len(set(signs)) == len(signs) == len(VisitStatus)
    for sheet in css.split("@media (prefers-color-scheme:dark)"):
        colours = re.findall(r"\.terzetto \.([\w-]+) \.sign circle{fill:(#\w+)}", sheet)
        assert [name for name, _ in colours] == [status.lower().replace("_", "-") for status in VisitStatus]
        assert len({colour for _, colour in colours}) == len(VisitStatus)


def test_the_legend_tells_what_the_signs_mean_and_how_many_places_have_them():
    root = parsed(svg(article(), {**VISITS, "publish": Shown(VisitStatus.SUCCEEDED, 1)}))

    assert texts(groups(root, "legend")[0][2]) == ["awaiting input 1", "succeeded 2", "failed 1"]
    assert root.findtext(f"{NS}desc") == "awaiting input 1, succeeded 2, failed 1"


def test_the_legend_fits_into_the_picture():
    root = parsed(one_of_each())
    legend = groups(root, "legend")[0][2]
    _, top = (float(n) for n in re.findall(r"[\d.]+", legend.get("transform", "")))
    ends = [
        (float(text.get("x", "")) + 7 * len(text.text or ""), float(text.get("y", "")))
        for text in legend.iter(f"{NS}text")
    ]

    assert max(x for x, _ in ends) < float(root.get("width", ""))
    assert top + max(y for _, y in ends) < float(root.get("height", ""))


def test_without_visits_there_is_no_sign_no_count_and_no_legend():
    root = parsed(svg(article()))

    assert not groups(root, "sign")
    assert not groups(root, "count")
    assert texts(root)[-1:] == ["sign-off"]
