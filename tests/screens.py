"""Screens for tests: runs, barriers and keys in few words."""

from terzetto_protocol.graph_view import BarrierShown, GraphView
from terzetto_protocol.keystrokes import Key, Pasted
from terzetto_protocol.screen import Screen
from terzetto_protocol.screen_lines import Paper
from terzetto_protocol.screen_sheet import sheet
from terzetto_protocol.screen_talk import Known, Listed, Looked
from terzetto_protocol.shown import Shown
from terzetto_protocol.statuses import RunStatus, VisitStatus
from terzetto_protocol.views import BarrierView, RunLine

NOW = 1_000_000.0


def line(run_id="r1", status=RunStatus.RUNNING, *, at=0.0, seq=3, barriers=(), graph="letter", **more):
    fields = {"version": "1", "code": "", "message": "", "submitted": NOW + at, "updated": NOW + at, "epoch": 1}
    return RunLine(run_id=run_id, graph=graph, status=status, seq=seq, open_barriers=tuple(barriers), **(fields | more))


def waiting(run_id="r1", **more):
    return line(run_id, RunStatus.AWAITING_INPUT, barriers=("sign@2",), **more)


def barrier(known="sign@2", payload=None, *, reconcile=False, deadline=None):
    return BarrierView(known, known.partition("@")[0], NOW, deadline, payload, reconcile)


def graph(name="letter", **barriers):
    shown = tuple(BarrierShown(each, tuple(exits)) for each, exits in barriers.items())
    return GraphView(name, "1", "f", (), (), {}, shown, None, {})


def listed(*lines, first=True, last=True):
    return Listed(tuple(lines), first, last)


def looked(run_id="r1", *barriers, **places):
    shown = {name: Shown(status, 1, "") for name, status in places.items()}
    return Looked(run_id, shown, barriers)


def screen_of(*lines, graphs=(), barriers=(), **options):
    """A screen that knows these runs, and how the selected one stands."""
    screen = Screen(who="ann", **options)
    screen.feed(listed(*lines))
    screen.feed(Known(tuple(graphs) or (graph(),)))
    screen.feed(looked(screen.runs.selected, *barriers, write=VisitStatus.SUCCEEDED))
    return screen


def typed(screen, *keys):
    """The effects of keys by their names; of a text in brackets, of each of its letters."""
    effects = []
    for key in keys:
        if isinstance(key, Pasted):
            effects += screen.feed(key)
        elif key.startswith("["):
            effects += [effect for letter in key[1:-1] for effect in screen.feed(Key(letter))]
        else:
            effects += screen.feed(Key(key))
    return effects


def seen(screen, width=80, height=24, *, plain=False, title="ws://here"):
    """What stands on the screen, as texts."""
    paper = Paper(width, height, NOW + 60, lambda at: f"t+{at - NOW:g}", plain)
    return ["".join(span.text for span in each) for each in sheet(screen, paper, title)]


def found(screen, text, **where):
    """The first line of the screen that has this text."""
    lines = seen(screen, **where)
    return next((each.rstrip() for each in lines if text in each), f"no {text!r} in:\n" + "\n".join(lines))
