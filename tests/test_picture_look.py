"""Looks of a picture: dark paper has the rules of light paper, with other colours."""

import re

from terzetto_protocol.picture import svg

from .pictures import NS, article, parsed


def test_light_and_dark_have_the_same_rules_with_other_colours():
    css = parsed(svg(article())).findtext(f"{NS}style", "")
    light, _, dark = css.partition("@media (prefers-color-scheme:dark){")
    paints = re.findall(r"([^{}]+){([^}]*#[^}]*)}", dark)

    assert paints
    assert light.endswith("".join(f"{rule}{{{said}}}" for rule, said in re.findall(r"([^{}]+){([^}]*#[^}]*)}", light)))
    assert [rule for rule, _ in paints] == [rule for rule, _ in re.findall(r"([^{}]+){([^}]*#[^}]*)}", light)]
    assert not set(re.findall(r"#\w+", light)) & set(re.findall(r"#\w+", dark))
    assert "|" not in css
