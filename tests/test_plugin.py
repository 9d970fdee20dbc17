"""The pytest plugin: fixtures over every store, virtual time, complaints, and seeds that can be repeated."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from importlib import import_module

import pytest

from .pages import ROOT, blocks_of

LIMIT = 60
"""Seconds that one command may take."""
PLUGIN = ["-p", "terzetto._pytest_plugin"]
TRIO = ["-p", "trio"]
STORES = ["memory", "simulated", "sqlite"]

GATE = """
import pytest, trio
from attrs import define
import terzetto
from terzetto import Approve
from terzetto.testing import Later

@define
class Nothing:
    pass

graph = terzetto.Graph("gate", state=Nothing, mutations=[])
gate = graph.barrier("gate")
bodies = []

@graph.node
async def walk(ctx):
    bodies.append(ctx.run_id)

graph.start(gate)
graph.edge(gate.approved, walk)
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """`tried(conftest, tests, *options)`: how each test ended, and what was said of it."""

    def tried(conftest, tests, *options, folder=".", **files):
        root = tmp_path_factory.mktemp("project")
        (root / "tests").mkdir()
        (root / "tests" / "gate.py").write_text(GATE)
        (root / "tests" / "conftest.py").write_text(f"import pytest\n{conftest}")
        (root / "tests" / "test_it.py").write_text(f"from gate import *\n{tests}")
        for name, text in files.items():
            (root / "tests" / name).write_text(text)
        (root / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
        words = [*PLUGIN, "-p", "no:cacheprovider", *options, os.path.relpath(root / "tests", root / folder)]
        return repeated([*words, f"--junit-xml={root / 'said.xml'}"], root / folder, root / "said.xml")

    return tried


def repeated(words, folder, said):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    ends = {}
    for case in ET.parse(said).getroot().iter("testcase"):
        kinds = [(child.tag, child.text or child.get("message")) for child in case if "system" not in child.tag]
        ends[case.get("name")] = kinds[0] if kinds else ("passed", "")
    return Tried(ends, done.stdout, folder)


class Tried:
    def __init__(self, ends, output, folder):
        self.ends, self.output, self.folder = ends, output, folder

    def of(self, name):
        """How a test ended, by what its id has in brackets."""
        found = {
            re.sub(r".*\[|\]$", "", test): end for test, (end, _) in self.ends.items() if test.startswith(f"{name}[")
        }
        assert found, self.output
        return found

    def said(self, test):
        assert test in self.ends, self.output
        return self.ends[test][1]


FIXTURES = """
async def test_every_store(runtime, decider, store):
    person = decider({"gate": [Later(600, Approve())]})
    async with runtime(graph) as opened:
        run = await opened.submit(graph, Nothing(), run_id="r")
        await person.attend(run)
        assert "SUCCEEDED" == (await run.result()).status
    assert 600 <= trio.current_time() < 601
    async with runtime(graph) as again:
        assert "SUCCEEDED" == await again.get("r").status()

async def test_a_clock_of_ones_own(runtime, mock_clock):
    assert trio.lowlevel.current_clock() is mock_clock

def test_plain_functions_have_a_store(store):
    assert type(store).__module__.startswith("terzetto.")

@pytest.mark.parametrize("terzetto_store_name", ["memory"], indirect=True)
async def test_one_store(runtime):
    pass

async def test_a_fault(runtime, faults):
    faults.on_node("walk").delays(60)
    async with runtime(graph) as opened:
        await opened.run(graph, Nothing(), auto_approve=True)
    assert trio.current_time() >= 60

async def test_a_fault_that_never_was(faults):
    faults.on_node("wlak").delays(60)

async def test_a_sentence_without_an_end(faults):
    faults.on_node("walk").first(2)

async def test_a_fault_that_luck_did_not_want(faults):
    faults.on_node("walk").with_probability(1e-9).raises(ValueError)
    await terzetto.run(graph, Nothing(), auto_approve=True)

async def test_a_script_that_is_too_long(decider):
    decider({"gate": [Approve(), Approve()]})
    await terzetto.run(graph, Nothing(), decider=decider({"gate": [Approve()]}))

async def test_what_fails_anyway(faults, decider):
    faults.on_node("walk").raises(ValueError)
    decider({"gate": [Approve()]})
    raise LookupError("first of all")

def test_nothing_is_in_force_any_more():
    from terzetto import _faults
    assert _faults.hook is None
"""


@pytest.fixture(scope="module", params=["pytest-trio", "alone"])
def fixtures(tried, request):
    if request.param == "pytest-trio":
        return tried("", FIXTURES, *TRIO)
    clock = "@pytest.fixture\ndef mock_clock(): import trio; return trio.lowlevel.current_clock()\n"
    own = FIXTURES.replace("async def test_a_clock_of_ones_own", "async def no_test").replace("mock_clock", "no_clock")
    return tried(clock, own)


def test_a_test_runs_over_every_store_in_virtual_time(fixtures):
    assert dict.fromkeys(STORES, "passed") == fixtures.of("test_every_store")
    assert dict.fromkeys(STORES, "passed") == fixtures.of("test_plain_functions_have_a_store")


def test_a_test_may_choose_its_store(fixtures):
    assert {"memory": "passed"} == fixtures.of("test_one_store")


def test_a_clock_of_ones_own_is_used(tried):
    one = FIXTURES[FIXTURES.index("async def test_a_clock") : FIXTURES.index("def test_plain")]

    assert dict.fromkeys(STORES, "passed") == tried("", one, *TRIO).of("test_a_clock_of_ones_own")


def test_a_plan_is_in_force_during_its_test(fixtures):
    assert dict.fromkeys(STORES, "passed") == fixtures.of("test_a_fault")
    assert ("passed", "") == fixtures.ends["test_nothing_is_in_force_any_more"]


def test_a_rule_that_never_applied_fails_the_test(fixtures):
    assert "faults: this has never applied: on_node('wlak').delays(60)" == fixtures.said("test_a_fault_that_never_was")
    assert "on_node('walk')" in fixtures.said("test_a_sentence_without_an_end")
    assert ("passed", "") == fixtures.ends["test_a_fault_that_luck_did_not_want"]


def test_an_answer_that_nobody_asked_for_fails_the_test(fixtures):
    said = "decider: nobody has asked for this: {'gate': [Approve("

    assert fixtures.said("test_a_script_that_is_too_long").startswith(said)


def test_a_test_that_fails_hears_no_complaints(fixtures):
    said = fixtures.said("test_what_fails_anyway")

    assert "first of all" in said
    assert "never applied" not in said
    assert "nobody has asked" not in said


SEEDS = """
orders = {}

@pytest.mark.seeds(6)
async def test_order(runtime, seed):
    order = []
    async def one(number):
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(number)
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(one, number)
    orders[seed] = order
    print("order", seed, order)
    assert seed != 4

@pytest.mark.seeds(3)
def test_no_fixture_asked_for():
    pass

@pytest.mark.seeds(2)
def test_dice(faults, seed):
    assert seed == faults.seed

def test_without_a_marker(seed):
    assert seed == 0

def test_different_orders():
    print("orders", len({str(order) for order in orders.values()}))
"""


@pytest.fixture(scope="module")
def seeds(tried):
    return tried("", SEEDS, *TRIO, "-rP", folder="tests")


def test_a_marker_runs_a_test_under_many_seeds(seeds):
    ends = {f"{number}-{store}": "failure" if number == 4 else "passed" for number in range(6) for store in STORES}

    assert ends == seeds.of("test_order")
    assert dict.fromkeys("012", "passed") == seeds.of("test_no_fixture_asked_for")
    assert dict.fromkeys("01", "passed") == seeds.of("test_dice")
    assert ("passed", "") == seeds.ends["test_without_a_marker"]


def test_a_seed_decides_the_order_of_tasks(seeds):
    found = re.findall(r"^orders (\d)$", seeds.output, re.MULTILINE)

    assert int(found[0]) > 1


def test_a_failing_seed_is_told_with_the_command_that_repeats_it(seeds):
    """Given in the same folder, it runs this test alone, and it fails in the same way."""
    found = dict(re.findall(r"^seed (\d+): repeat it with: (.+\[4-memory\]'?)$", seeds.output, re.MULTILINE))
    [python, flag, module, *words] = shlex.split(found["4"])
    orders = {line for line in seeds.output.splitlines() if line.startswith("order 4 ")}

    assert ["python", "-m", "pytest"] == [python, flag, module]
    again = repeated(words, seeds.folder, seeds.folder.parent / "said.xml")

    assert {"test_order[4-memory]": "failure"} == {test: end for test, (end, _) in again.ends.items()}
    assert orders >= {line for line in again.output.splitlines() if line.startswith("order 4 ")} > set()


OWN = """
from terzetto.stores import MemoryStore

def pytest_terzetto_stores():
    return {"mine": lambda folder: MemoryStore()}

@pytest.fixture
def store():
    return "a shop"

@pytest.fixture
def plan_of_faults(terzetto_faults):
    return terzetto_faults
"""
OTHERS = """
async def test_names(runtime, store, plan_of_faults):
    assert store == "a shop"
    plan_of_faults.on_node("walk").delays(1)
    async with runtime(graph) as opened:
        await opened.run(graph, Nothing(), auto_approve=True)

class TestReal:
    @pytest.fixture
    def terzetto_run(self):
        return trio.run

    @pytest.fixture
    def terzetto_store(self):
        return "memory:"

    async def test_time(self, terzetto_runtime):
        assert "memory:" == terzetto_runtime.store
        assert "SystemClock" == type(trio.lowlevel.current_clock()).__name__
"""


def test_names_and_stores_may_be_ones_own(tried):
    found = tried(OWN, OTHERS, *TRIO)

    assert dict.fromkeys(["mine", *STORES], "passed") == found.of("test_names")
    assert ("passed", "") == found.ends["test_time"]


def test_the_page_shows_what_works(tried):
    files = {block.name: block.text for block in blocks_of(ROOT / "docs" / "pytest-plugin.md") if block.name}
    found = tried("", "", *TRIO, folder="tests", **files)

    assert {"passed"} == {end for end, _ in found.ends.values()}, found.output
    assert {*STORES, "normal"} == found.of("test_a_walk_that_hangs").keys()
    assert {"memory", "normal"} == found.of("test_with_two_stores").keys()
    assert 20 * 4 == len(found.of("test_both_orders_are_fine"))


def test_seeds_have_to_be_counted(tried):
    with pytest.raises(AssertionError, match=r"say how many seeds: @pytest.mark.seeds\(100\)"):
        tried("", "@pytest.mark.seeds\ndef test_it():\n    pass\n")


def test_it_is_what_pytest_is_told_to_load():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module = project["project"]["entry-points"]["pytest11"]["terzetto"]

    assert PLUGIN[1] == module
    assert import_module(module).pytest_runtest_call


def test_loading_it_loads_nothing_of_ours():
    """Pytest loads it in every project of an environment."""
    program = "import terzetto._pytest_plugin, sys; print(*(name for name in sys.modules if 'terzetto' in name))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=True)

    assert {"terzetto", "terzetto._pytest_plugin"} == set(done.stdout.split())


def test_a_server_that_is_named(tried, postgres, redis, monkeypatch):
    """Tests run over it too, each in a place of its own, of which nothing is left; a minute there takes no time."""
    monkeypatch.setenv("TERZETTO_TEST_POSTGRES", postgres.url(schema="plugin"))
    monkeypatch.setenv("TERZETTO_TEST_REDIS", f"redis://127.0.0.1:{redis.port}/0?prefix=plugin:")
    test = """
async def test_gate(runtime, decider, store):
    async with runtime(graph) as opened:
        run = await opened.submit(graph, Nothing(), run_id="r")
        await trio.sleep(60)
        await run.decide("gate@1", Approve())
        assert (await run.result()).status == "SUCCEEDED"
    async with store:
        assert len(await store.runs()) == 1

async def test_again(store):
    async with store:
        assert await store.runs() == []
        await store.renew()
"""
    ended = tried("", test, "-k", "postgres or redis").ends
    tests = [f"test_{name}[{store}]" for name in ("gate", "again") for store in ("postgres", "redis")]
    assert {name: end[0] for name, end in ended.items()} == dict.fromkeys(tests, "passed")
    assert [] == postgres.execute("select nspname from pg_namespace where starts_with(nspname, 'plugin')")
    assert [] == redis.ask("KEYS", "plugin:*")
