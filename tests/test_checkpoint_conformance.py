"""LangGraph's own conformance suite, whole, on all four stores, under Trio and under asyncio."""

import asyncio

import pytest
import trio
from langgraph.checkpoint.conformance import checkpointer_test, validate

import terzetto.langgraph


def under_asyncio(fn):
    return asyncio.run(fn())


@pytest.mark.parametrize("run", [trio.run, under_asyncio], ids=["trio", "asyncio"])
def test_the_conformance_suite_passes_whole(url, run):
    @checkpointer_test(name="ours")
    async def ours():
        async with terzetto.langgraph.Checkpointer.open(url) as saver:
            yield saver
            threads = {found.config["configurable"]["thread_id"] async for found in saver.alist(None)}
            for thread in threads:
                await saver.adelete_thread(thread)

    async def main():
        return await validate(ours)

    report = run(main)

    assert [] == [failure for result in report.results.values() for failure in result.failures]
    assert 81 == sum(result.tests_passed for result in report.results.values())
    assert report.passed_all()
