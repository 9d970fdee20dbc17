"""`python -m tests.mutation [--seed N] [--sample N] [--only MODULE,...]`: say which mistakes nobody would notice.

Of every module in `targets` all possible mistakes are listed, and a sample of them is made, one at a time, in a copy
of the sources. The tests that pass by the mistake run, the quick ones first, until one fails. What survives is either
in `survivors.toml`, with the reason why no test can see it, or it is news, and the exit code is 1.
"""

import argparse
import hashlib
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from attrs import asdict, frozen

from ..copies import ROOT, Copy
from .mutants import Mutant, mutants
from .noticed import Noticed
from .targets import TARGETS, Target, module_name
from .trials import Passing, Trial, attempt, preload, watch

SECONDS: Final = 60.0
"""Processor time after which a mutant is stopped at the latest, and counts as noticed."""
SLACK: Final = 10.0
"""Processor time besides that of the tests: to import, and to collect."""
SLOWER: Final = 2
"""How many times as long as while they were watched tests may take until they are stopped."""
BUDGET: Final = 100.0
"""Seconds of tests, as they took while they were watched (three times as long as else), for one mutant at most."""
FIRST: Final = 60
"""Tests that are tried before the others, from two files: most mutants need no more."""
CACHE: Final = ROOT / ".mutation"
SURVIVORS: Final = Path(__file__).with_name("survivors.toml")


@frozen
class Fate:
    """What became of a mutant."""

    mutant: Mutant
    path: str
    trial: Trial
    tests: int
    """How many were there to notice it."""


def known() -> dict[str, str]:
    """Mutants that survive, and why; raises `ValueError` for one without a reason."""
    found: dict[str, str] = {}
    for entry in tomllib.loads(SURVIVORS.read_text()).get("survivor", []):
        if entry["reason"] not in ("equivalent", "not observable") or not entry["why"]:
            raise ValueError(f"{SURVIVORS.name}: {entry['mutant']!r} has no reason")
        found[entry["mutant"]] = entry["reason"]
    return found


def sample(found: Sequence[tuple[str, Mutant]], seed: str, count: int) -> list[tuple[str, Mutant]]:
    """So many of them: the same ones for the same seed, also when others have come or gone."""

    def lot(each: tuple[str, Mutant]) -> bytes:
        return hashlib.sha256(f"{seed} {each[1].key}".encode()).digest()

    drawn = set(sorted(found, key=lot)[:count])
    return [each for each in found if each in drawn]


class Map:
    """Which tests pass by which lines of one target's modules; kept in a file per test file while nothing changes.

    Nothing is watched before somebody asks.
    """

    def __init__(self, target: Target, copy: Copy) -> None:
        self._target, self._copy = target, copy

    @cached_property
    def _parts(self) -> list[Passing]:
        return [self._part(self._target, file, self._copy) for file in self._target.files()]

    @cached_property
    def seconds(self) -> dict[str, float]:
        """How long each test takes."""
        return {test: took for part in self._parts for test, took in part.seconds.items()}

    def _part(self, target: Target, file: str, copy: Copy) -> Passing:
        texts = [(ROOT / each).read_bytes() for each in (file, *target.modules)]
        kept = CACHE / f"{hashlib.sha256(b'/'.join(texts)).hexdigest()[:20]}-{Path(file).stem}.json"
        if not kept.exists():
            print(f"watching {file}", flush=True)
            CACHE.mkdir(exist_ok=True)
            kept.write_text(json.dumps(asdict(watch(copy, file, target.modules, 20 * SECONDS))))
        read = json.loads(kept.read_text())
        lines = {module: {int(line): tests for line, tests in each.items()} for module, each in read["lines"].items()}
        return Passing(read["seconds"], lines, read["imported"])

    def tests(self, path: str, mutant: Mutant) -> list[str]:
        """Tests that pass by it, quick ones first; all of them where it is made when the module is imported."""
        lines = range(mutant.line, mutant.end_line + 1)
        found = {test for part in self._parts for line in lines for test in part.lines[path].get(line, ())}
        if not found and any(line in part.imported[path] for part in self._parts for line in lines):
            found = set(self.seconds)
        return sorted(found, key=lambda test: (self.seconds[test], test))


def stages(tests: Sequence[str], seconds: Mapping[str, float]) -> Iterator[list[str]]:
    """In which order they are tried: first some of two files, for collecting all takes longer than most tests."""
    files = Counter(test.partition("::")[0] for test in tests if seconds[test] < 1.0).most_common(2)
    near = {file for file, _ in files}
    first = [test for test in tests if test.partition("::")[0] in near and seconds[test] < 1.0][:FIRST]
    if first:
        yield first
    rest, left = [], BUDGET
    for test in (test for test in tests if test not in set(first)):
        left -= seconds[test]
        if left > 0:
            rest.append(test)
    if rest:
        yield rest


def fate(path: str, mutant: Mutant, where: Map, copy: Copy) -> Fate:
    """Make one mistake, and see whether somebody notices."""
    tests, trial = where.tests(path, mutant), Trial("passed")
    with copy.changed({path: mutant.plant((ROOT / path).read_text())}):
        for stage in stages(tests, where.seconds):
            if trial.outcome == "passed":
                usual = sum(where.seconds[test] for test in stage)
                trial = attempt(copy, stage, min(SECONDS, SLACK + SLOWER * usual))
    return Fate(mutant, path, trial, len(tests))


def drawn(arguments: argparse.Namespace) -> Iterator[tuple[Target, list[tuple[str, Mutant]]]]:
    """The sample, by its targets."""
    wanted = set(filter(None, arguments.only.split(",")))
    found = [(path, each) for target in TARGETS for path in target.modules for each in all_of(path)]
    chosen = sample(found, arguments.seed, arguments.sample)
    for target in TARGETS:
        mine = [each for each in chosen if each[0] in target.modules]
        mine = [each for each in mine if not wanted or module_name(each[0]) in wanted]
        if arguments.survivors:
            mine = [each for each in mine if each[1].key in known()]
        if arguments.like:
            mine = [each for each in mine if arguments.like in each[1].key]
        if mine:
            yield target, mine


def all_of(path: str) -> list[Mutant]:
    """Every mistake that can be made in a module."""
    return mutants(module_name(path), (ROOT / path).read_text())


def report(fates: Iterable[Fate]) -> bool:
    """Print what became of them; tells whether there is nothing new."""
    reasons, table, news, gone = known(), dict[str, Counter[str]](), list[Fate](), list[str]()
    for each in fates:
        key, outcome = each.mutant.key, each.trial.outcome
        if outcome == "passed":
            outcome = reasons.get(key, "new")
            news += [each] if outcome == "new" else []
        elif key in reasons:
            gone.append(key)
        table.setdefault(each.mutant.module, Counter())[outcome] += 1
    columns = ("mutants", "failed", "timeout", "equivalent", "not observable", "new")
    rows = [(name, Counter(mutants=counts.total()) + counts) for name, counts in table.items()]
    rows.append(("all", sum((counts for _, counts in rows), Counter())))
    print(f"\n{'':14}", *(f"{name:>14}" for name in columns))
    for name, counts in rows:
        print(f"{name:14}", *(f"{counts[column]:>14}" for column in columns))
    for each in news:
        print(f"\nnobody noticed ({each.path}:{each.mutant.line}, {each.mutant.kind}, {each.tests} tests pass by it)")
        print(f"  {each.mutant.key}")
    for key in gone:
        print(f"\n{SURVIVORS.name} lists what does not survive: {key}")
    return not news


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", default="1", help="which sample")
    parser.add_argument("--sample", type=int, default=330, help="how many mutants, of all modules")
    parser.add_argument("--only", default="", help="modules, by their names, of which those in the sample are made")
    parser.add_argument("--like", default="", help="only those whose names have this text in them")
    parser.add_argument("--survivors", action="store_true", help="only those that are listed as survivors")
    parser.add_argument("--anew", action="store_true", help="make those again that were noticed before")
    arguments = parser.parse_args()
    known()
    preload()
    fates, noticed = list[Fate](), Noticed(CACHE / "noticed.jsonl")
    with TemporaryDirectory(prefix="mutation-") as folder:
        copy = Copy(Path(folder))
        for target, chosen in drawn(arguments):
            where = Map(target, copy)
            for path, mutant in chosen:
                if not arguments.anew and (trial := noticed.find(path, mutant)) is not None:
                    fates.append(Fate(mutant, path, trial, 1))
                    continue
                began = perf_counter()
                fates.append(fate(path, mutant, where, copy))
                trial, took = fates[-1].trial, perf_counter() - began
                noticed.keep(path, mutant, trial)
                print(f"{trial.outcome:8} {took:5.1f} s  {mutant.key}  {trial.test}", flush=True)
    return 0 if report(fates) else 1


if __name__ == "__main__":
    sys.exit(main())
