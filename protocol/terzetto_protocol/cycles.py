"""Ways round in a directed graph, given as links: for each place, where one can go from there.

Nothing here recurses, so that a chain of any length is fine.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

Links: TypeAlias = Mapping[str, list[str]]
"""Where each place leads, in order and without repetition; every target is a place."""


def shortest_cycles(links: Links) -> Iterator[tuple[str, ...]]:
    """For every link that is on a cycle, a shortest one through it, unless an earlier one covers it.

    Each begins with its place that is declared first.
    """
    component = components(links)
    positions = {name: position for position, name in enumerate(links)}
    covered: set[tuple[str, str]] = set()
    for source, targets in links.items():
        for target in targets:
            if component[source] != component[target] or (source, target) in covered:
                continue
            nodes = _path(links, target, source)
            covered.update(zip(nodes, (*nodes[1:], nodes[0]), strict=True))
            first = nodes.index(min(nodes, key=positions.__getitem__))
            yield (*nodes[first:], *nodes[:first])


def _path(links: Links, start: str, goal: str) -> tuple[str, ...]:
    """The shortest way from start to goal, both included; the caller knows that there is one."""
    came_from = {start: ""}
    queue = [start]
    for name in queue:  # it grows while it is read, and ends for no place enters it twice
        for target in links[name]:
            if target not in came_from:
                came_from[target] = name
                queue.append(target)
    way = [goal]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))


def reached(links: Links, roots: list[str]) -> set[str]:
    """Everything that links lead to from the roots, and the roots."""
    found = set(roots)
    queue = list(roots)
    for name in queue:  # as in _path
        fresh = [target for target in links[name] if target not in found]
        found.update(fresh)
        queue.extend(fresh)
    return found


def components(links: Links) -> dict[str, int]:
    """A number per place; places have the same one if and only if they lie on a cycle with each other."""
    back: dict[str, list[str]] = {name: [] for name in links}
    for source, targets in links.items():
        for target in targets:
            back[target].append(source)
    # Kosaraju: walking back from the place that was finished last meets its own component and nothing else.
    component: dict[str, int] = {}
    for number, root in enumerate(reversed(_finished(links))):
        queue = [] if root in component else [root]
        for name in queue:
            if component.setdefault(name, number) == number:
                queue.extend(source for source in back[name] if source not in component)
    return component


def _finished(links: Links) -> list[str]:
    """All places in the order in which a depth-first walk leaves them."""
    seen: set[str] = set()
    order: list[str] = []
    for root in links:
        stack = [(root, iter(links[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            fresh = next((target for target in stack[-1][1] if target not in seen), None)
            if fresh is None:
                order.append(stack.pop()[0])
            else:
                seen.add(fresh)
                stack.append((fresh, iter(links[fresh])))
    return order
