"""Looks of a picture: forms, and colours in pairs, for light paper and for dark paper."""

import re
from collections.abc import Mapping
from typing import Final

from .picture_signs import class_of
from .statuses import VisitStatus

_V = VisitStatus
_PAPER, _INK, _SOFT, _FRAME = "#faf7f2|#161315", "#231d1a|#eee7e2", "#6a5f58|#aa9e99", "#b9aca0|#5f555a"
_RAIL, _WRONG = "#8f8279|#857b78", "#c1272d|#ff7a75"
_TONES: Final[Mapping[VisitStatus, tuple[str, str]]] = {
    _V.PENDING: ("#857a72|#9c918b", "#f6f1ea|#262124"),
    _V.RUNNING: ("#1f63b5|#6fb0ff", "#e8f1fc|#17263b"),
    _V.AWAITING_INPUT: ("#9a6700|#f2c14e", "#fff4d6|#332810"),
    _V.WAITING_RETRY: ("#c2500a|#ff9a56", "#ffeede|#38220f"),
    _V.UNKNOWN: ("#7d3fb0|#c79bf2", "#f6ecfd|#2c1c3b"),
    _V.SUCCEEDED: ("#237a47|#66cc8d", "#e8f6ec|#14291c"),
    _V.FAILED: ("#b8251c|#ff8379", "#fdeae8|#3a1714"),
    _V.CANCELLED: ("#59636e|#98a4b0", "#eef1f3|#22282e"),
    _V.SKIPPED: ("#8a8178|#8c827c", "#faf7f2|#1b181a"),
}
"""Line and ground."""
_FORMS: Final[Mapping[str, str]] = {
    "text": "font:11px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;text-anchor:middle",
    ".name": "font-size:13px;font-weight:600",
    ".heading": "font-size:16px;font-weight:600;text-anchor:start",
    ".legend text": "font-size:12px;text-anchor:start",
    ".count text": "font-weight:600",
    ".line,.inner,.thin": "fill:none",
    ".line,.card,.inner,.open": "stroke-width:1.5",
    ".bar": "stroke-width:4",
    ".fallback .line": "stroke-dasharray:1.5 4.5;stroke-linecap:round",
    ".error .line": "stroke-dasharray:6 4",
    ".skipped .card": "stroke-dasharray:4 3",
    ".sign circle,.count rect": "stroke-width:2",
    ".sign path": "stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round",
}
_PAINTS: Final[Mapping[str, str]] = {
    "text,.mark": f"fill:{_INK}",
    ".more,.label text": f"fill:{_SOFT}",
    ".paper,.pill,.solid,.count text": f"fill:{_PAPER}",
    ".card": f"fill:#fffdfa|#1f1b1e;stroke:{_FRAME}",
    ".inner": f"stroke:{_FRAME}",
    ".end .card": f"stroke:{_INK}",
    ".line": f"stroke:{_RAIL}",
    ".head": f"fill:{_RAIL}",
    ".open": f"fill:{_PAPER};stroke:{_RAIL}",
    ".error .line": f"stroke:{_WRONG}",
    ".error .head,.error text": f"fill:{_WRONG}",
    ".sign circle,.sign path": f"stroke:{_PAPER}",
    ".count rect": f"fill:{_INK};stroke:{_PAPER}",
    **{f".{class_of(status)} .card": f"fill:{ground};stroke:{line}" for status, (line, ground) in _TONES.items()},
    **{f".{class_of(status)} .inner": f"stroke:{line}" for status, (line, _) in _TONES.items()},
    **{f".{class_of(status)} .sign circle": f"fill:{line}" for status, (line, _) in _TONES.items()},
}


def _css(rules: Mapping[str, str]) -> str:
    """For pictures only: a page may have them in the midst of other things."""
    scoped = {",".join(f".terzetto {part}" for part in parts.split(",")): said for parts, said in rules.items()}
    return "".join(f"{parts}{{{said}}}" for parts, said in scoped.items())


def _by_light(css: str) -> str:
    """The rules with the colours for light paper, and again with those for dark paper where that is preferred."""
    light, dark = (re.sub(r"(#\w+)\|(#\w+)", rf"\{which}", css) for which in (1, 2))
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"


STYLE: Final = _css(_FORMS) + _by_light(_css(_PAINTS))
"""The style sheet of every picture."""
PAGE: Final = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%(title)s</title>
<style>:root{{color-scheme:light dark}}body{{margin:0}}svg{{display:block;margin:1rem auto}}
{_by_light(f"body{{background:{_PAPER}}}")}</style>
%(picture)s</html>
"""
"""A page of its own, for `title` and `picture`."""
