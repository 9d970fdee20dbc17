"""Places of a picture: what was declared of each and what happened there can be seen."""

from terzetto_protocol.picture import svg
from terzetto_protocol.picture_markup import LETTERS
from terzetto_protocol.shown import Shown

from .pictures import VISITS, article, groups, parsed, texts


def test_every_place_is_there_with_its_shape_and_what_was_declared_of_it():
    places = [(title, classes) for title, classes, _ in groups(parsed(svg(article())), "place")]

    assert places == [
        ("start", {"start"}),
        ("write", {"node"}),
        ("fix, pure, at most 3 times", {"node"}),
        ("publish, once", {"once"}),
        ("sign-off", {"barrier"}),
        ("end", {"end"}),
        ("end", {"end"}),
    ]


def test_the_last_status_of_a_place_is_a_class_a_sign_and_a_word():
    root = parsed(svg(article(), VISITS))
    places = {title: (classes, group) for title, classes, group in groups(root, "place")}

    assert places.keys() >= {
        "write, succeeded, 3 visits",
        "fix, pure, at most 3 times, failed, 1 visit, ValueError: too long",
        "publish, once",
        "sign-off, awaiting input, 2 visits, waits for Ada",
    }
    for title, (classes, group) in places.items():
        statuses = classes & {"succeeded", "failed", "awaiting-input"}
        assert len(groups(group, "sign")) == len(statuses) == (", " in title and "publish" not in title)


def test_repeated_visits_are_counted_on_the_box_and_notes_are_written_in_it():
    places = {title.partition(",")[0]: group for title, _, group in groups(parsed(svg(article(), VISITS)), "place")}

    assert texts(places["write"]) == ["write", "×3"]
    assert texts(places["fix"]) == ["fix", "pure", "at most 3 times", "ValueError: too long"]
    assert texts(places["fix"], "note") == ["ValueError: too long"]
    assert texts(places["sign-off"]) == ["sign-off", "waits for Ada", "×2"]


def test_a_place_that_was_not_visited_may_have_a_note():
    root = parsed(svg(article(), {"publish": Shown(note="at noon")}))

    assert "publish, once, at noon" in [title for title, _, _ in groups(root, "place")]
    assert not groups(root, "sign")


def test_a_long_line_is_cut_and_told_in_full():
    long = "word " * 40
    root = parsed(svg(article(), {"write": Shown(note=long)}))
    (title, _, write) = groups(root, "place")[1]

    assert title == f"write, {long.strip()}"
    (note,) = texts(write, "note")
    assert len(note) == LETTERS
    assert note.endswith("…")
