"""Ways round in a directed graph, against a search through everything."""

from itertools import pairwise

from hypothesis import given, strategies as st

from terzetto_protocol.cycles import Links, components, reached, shortest_cycles

NAMES = "abcdef"
targets = st.lists(st.sampled_from(NAMES), unique=True, max_size=3)
graphs = st.tuples(*(targets for _ in NAMES)).map(lambda drawn: dict(zip(NAMES, drawn, strict=True)))


def every_cycle(links: Links) -> set[tuple[str, ...]]:
    """All elementary cycles, each from its smallest place on."""
    found: set[tuple[str, ...]] = set()

    def walk(path: tuple[str, ...]) -> None:
        for target in links[path[-1]]:
            if target == path[0]:
                found.add(path)
            elif target > path[0] and target not in path:
                walk((*path, target))

    for name in links:
        walk((name,))
    return found


def links_of(cycle: tuple[str, ...]) -> set[tuple[str, str]]:
    return set(pairwise((*cycle, cycle[0])))


@given(graphs)
def test_every_link_that_is_on_a_cycle_is_on_one_of_those_found(links):
    cycles = list(shortest_cycles(links))
    all_cycles = every_cycle(links)

    assert set(cycles) <= all_cycles
    assert len(set(cycles)) == len(cycles)
    assert set().union(*map(links_of, cycles)) == set().union(*map(links_of, all_cycles))


@given(graphs)
def test_components_are_places_that_reach_each_other(links):
    component = components(links)

    for one in NAMES:
        for other in NAMES:
            mutual = other in reached(links, [one]) and one in reached(links, [other])
            assert (component[one] == component[other]) == mutual


@given(graphs, st.lists(st.sampled_from(NAMES), max_size=2))
def test_reached_is_what_any_number_of_links_leads_to(links, roots):
    expected = set(roots)
    for _ in NAMES:
        expected |= {target for name in expected for target in links[name]}

    assert reached(links, roots) == expected


def test_a_long_chain_and_a_long_ring_are_no_problem():
    names = [f"n{number}" for number in range(20_000)]
    chain = {name: [following] for name, following in pairwise(names)} | {names[-1]: []}
    ring = {**chain, names[-1]: [names[0]]}

    assert list(shortest_cycles(chain)) == []
    assert list(shortest_cycles(ring)) == [tuple(names)]
