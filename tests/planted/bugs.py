"""The mistakes: each is what somebody might do in good faith, and none gets past the tests that are named with it."""

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from ..copies import ROOT

_PROTOCOL: Final = "protocol/terzetto_protocol"
_ACTORS: Final = "actors/terzetto"


@frozen
class Change:
    """A piece of a module's text, which is in it once, and what stands there instead."""

    module: str
    old: str
    new: str


@frozen
class Bug:
    """A mistake, and who notices."""

    name: str
    breaks: str
    """The promise, by its number."""
    tests: tuple[str, ...]
    changes: tuple[Change, ...]

    def texts(self) -> Mapping[str, str]:
        """The changed modules; raises `ValueError` for a change that does not fit the source any more."""
        texts: dict[str, str] = {}
        for each in self.changes:
            text = texts.get(each.module) or (ROOT / each.module).read_text()
            if (times := text.count(each.old)) != 1:
                raise ValueError(
                    f"planted bug {self.name!r} does not fit {each.module} any more: its text is there {times} times; "
                    f"plant the same mistake in what is there now (tests/planted/bugs.py)\n{each.old}"
                )
            texts[each.module] = text.replace(each.old, each.new)
        return texts


def _bug(name: str, breaks: str, tests: str, *changes: tuple[str, str, str]) -> Bug:
    found = tuple(f"tests/{each}" for each in tests.split())
    return Bug(name, breaks, found, tuple(Change(*each) for each in changes))


BUGS: Final[Sequence[Bug]] = (
    _bug(
        "acknowledge before fsync",
        "3, D1-D8",
        "test_store_sqlite.py::test_one_sync_per_group",
        (
            f"{_ACTORS}/stores/_sqlite_file.py",
            'connection.execute(f"pragma synchronous={synchronous}")',
            'connection.execute("pragma synchronous=normal")',
        ),
    ),
    _bug(
        "answer the senders before the store has answered",
        "3, D5",
        "test_persistence.py::test_each_sender_hears_its_own_outcome_in_order",
        (
            f"{_ACTORS}/_persistence.py",
            "        outcomes = await self._store([write for write, _ in group])\n",
            (
                "        from terzetto_protocol.records import Applied\n\n"
                "        for write, sender in group:\n"
                "            sender.written(write, Applied())\n"
                "        outcomes = await self._store([write for write, _ in group])\n"
            ),
        ),
        (f"{_ACTORS}/_persistence.py", "        self._answer(group, outcomes)\n", ""),
    ),
    _bug(
        "skip the epoch check in SQLite",
        "3, D8",
        "test_store_kit.py",
        (
            f"{_ACTORS}/stores/_sqlite_log.py",
            "        where r.id = new.id and r.epoch = new.expect\n",
            "        where r.id = new.id\n",
        ),
    ),
    _bug(
        "believe commits whose checksum is another one",
        "2.7",
        "test_checksums.py test_damage.py",
        (
            f"{_ACTORS}/stores/_segments.py",
            "    if crc is not None and crc != checksum(body, run_id, first, last, event, epoch, at):\n",
            "    if crc is not None and crc < 0:\n",
        ),
    ),
    _bug(
        "skip the epoch check in Redis",
        "3, D8",
        "test_store_kit.py",
        (
            f"{_ACTORS}/stores/_lua/apply.lua",
            "  if epoch ~= w.expect or w.seq ~= last + 1 then\n",
            "  if w.seq ~= last + 1 then\n",
        ),
    ),
    _bug(
        "a Redis server that syncs once in a second is durable",
        "11.4",
        "test_store_redis.py",
        (f"{_ACTORS}/stores/_redis_greeting.py", '"appendfsync": "always", ', ""),
    ),
    _bug(
        "an emptied Redis database is a store without runs",
        "11.4",
        "test_store_redis_lost.py",
        (f"{_ACTORS}/stores/_lua/common.lua", "if incarnation ~= ARGV[1] then\n", "if false then\n"),
    ),
    _bug(
        "a commit that has vanished from Redis is left out",
        "11.4",
        "test_store_redis_lost.py",
        (
            f"{_ACTORS}/stores/_redis_reads.py",
            "            if entry.seq != last + 1:\n",
            "            if entry.seq <= last:\n",
        ),
    ),
    _bug(
        "the head of a thread expires",
        "11.4",
        "test_store_redis_ttl.py",
        (
            f"{_ACTORS}/stores/_lua/common.lua",
            "  if row[1] and TERMINAL[row[1]] and tonumber(row[2]) == 0 then\n",
            "  if row[1] and TERMINAL[row[1]] then\n",
        ),
    ),
    _bug(
        "skip the epoch check in memory",
        "3, D8",
        "test_store_kit.py",
        (f"{_ACTORS}/stores/_memory.py", "run is None or run.epoch != write.expect or", "run is None or"),
    ),
    _bug(
        "publish what a stale owner still had to say",
        "3, D8",
        "test_machine_durability.py test_machine_recovery.py",
        (f"{_PROTOCOL}/machine.py", "        self.held.let_go()\n        self.waits.clear()\n", ""),
        (
            f"{_PROTOCOL}/machine.py",
            "        self.effects.append(Finish(self.status, fenced=msg.reason, final=msg.final))\n",
            (
                "        self.effects.extend(self.waits.ready(msg.seq))\n"
                "        self.effects.append(Finish(self.status, fenced=msg.reason, final=msg.final))\n"
            ),
        ),
    ),
    _bug(
        "run a once body again after a crash",
        "7",
        "test_machine_effects.py",
        (
            f"{_PROTOCOL}/forks.py",
            "process died in the body\n            self._recover_effect(entry, at)",
            "process died in the body\n            self.hold(entry.visit, ahead=False)",
        ),
    ),
    _bug(
        "begin a once body without an intent",
        "3, D2",
        "test_machine_durability.py",
        (f"{_PROTOCOL}/stage.py", 'node.options.effects == "once":', 'node.options.effects == "twice":'),
    ),
    _bug(
        "retry a once node",
        "9.8",
        "test_runtime_retries.py::test_a_once_node_has_no_retry",
        (
            f"{_PROTOCOL}/mistakes.py",
            'mistakes(f"{path}.retry")\n        if options.effects == "once":',
            'mistakes(f"{path}.retry")\n        if False:',
        ),
    ),
    _bug(
        "call a failure what nobody knows",
        "7",
        "test_runtime_retries.py::test_a_once_body_that_was_cut_off_is_unknown",
        (f"{_PROTOCOL}/visits.py", "if msg.unknown and entry.status is _V.RUNNING:", "if False:"),
    ),
    _bug(
        "run a finished branch again after a crash",
        "5.5, 7",
        "test_machine_branches_map.py test_machine_branches.py",
        (
            f"{_PROTOCOL}/machine.py",
            "        for path, opened in self.fold.image.forks.items():\n",
            "        for path, opened in self.fold.image.forks.items():\n            opened.begun = opened.ended = 0\n",
        ),
    ),
    _bug(
        "forget the last commit when a log is read",
        "3",
        "test_machine_log.py test_machine_recovery.py",
        (f"{_PROTOCOL}/fold.py", "        for body in bodies:\n", "        for body in list(bodies)[:-1]:\n"),
    ),
    _bug(
        "store a snapshot under the number before its own",
        "4.4",
        "test_store_kit.py",
        (
            f"{_ACTORS}/stores/_memory.py",
            "run.snapshots.append((write.seq, write.snapshot))",
            "run.snapshots.append((write.seq - 1, write.snapshot))",
        ),
    ),
    _bug(
        "leave the last mutation of a batch out of the log",
        "4.4",
        "test_machine_log.py test_machine_life.py",
        (
            f"{_PROTOCOL}/stage.py",
            "            mutations=stored(mutations),\n",
            "            mutations=stored(mutations)[:-1],\n",
        ),
    ),
    _bug(
        "leave a gap in a stream unsaid",
        "8.2",
        "test_event_reader.py",
        (f"{_PROTOCOL}/event_reader.py", "        if events[-1].id - low != len(events):\n", "        if False:\n"),
    ),
    _bug(
        "leave a gap behind the window unsaid",
        "8.2",
        "test_event_reader.py",
        (
            f"{_PROTOCOL}/event_reader.py",
            "            if missed is None or missed > len(given):\n",
            "            if False:\n",
        ),
    ),
    _bug(
        "end a stream twice",
        "8.3",
        "test_event_log.py",
        (
            f"{_PROTOCOL}/event_log.py",
            "        self._next = None  # whatever comes now has to be admitted, and will not be\n",
            "",
        ),
    ),
    _bug(
        "swallow Cancelled",
        "9.1",
        "test_runtime_cancel.py",
        (
            f"{_ACTORS}/_node.py",
            "return failed(node, start, own_part(error), world, ctx)",
            "return failed(node, start, error, world, ctx)",
        ),
        (
            f"{_ACTORS}/_carrying.py",
            "return failed(node, Start(visit, place, attempt), own_part(error), services, ctx)",
            "return failed(node, Start(visit, place, attempt), error, services, ctx)",
        ),
    ),
    _bug(
        "swallow Cancelled in a group",
        "9.4",
        "test_node.py",
        (
            f"{_ACTORS}/_failures.py",
            "foreign = (KeyboardInterrupt, trio.Cancelled) if is_cancelled else (KeyboardInterrupt,)",
            "foreign = (KeyboardInterrupt,)",
        ),
    ),
    _bug(
        "commit after an acknowledged cancel",
        "3, D6",
        "test_machine_stops.py",
        (
            f"{_PROTOCOL}/visits.py",
            "            self._cleanse(entry)\n            return  # D6",
            "            pass  # D6",
        ),
    ),
    _bug(
        "go on with a cancelled run after a crash",
        "9.1",
        "test_machine_recovery.py",
        (
            f"{_PROTOCOL}/machine.py",
            "        if status is _R.CANCELLING:\n            note =",
            "        if False:\n            note =",
        ),
    ),
    _bug(
        "store NaN as null",
        "4.7",
        "test_codec.py::test_nan_and_infinities_are_refused_wherever_they_are",
        (f"{_PROTOCOL}/codec.py", "    if odd:\n", "    if False:\n"),
    ),
    _bug(
        "merge branches in order of completion",
        "5.5",
        "test_machine_branches.py",
        (
            f"{_PROTOCOL}/fold.py",
            "        branch.ended, branch.failure = True, None if goes_on else failure\n",
            (
                "        branch.ended, branch.failure = True, None if goes_on else failure\n"
                "        self.branches[branch.path] = self.branches.pop(branch.path)\n"
            ),
        ),
        (
            f"{_PROTOCOL}/fold.py",
            "        branch.ended = True\n        image.forks",
            (
                "        branch.ended = True\n"
                "        self.branches[branch.path] = self.branches.pop(branch.path)\n"
                "        image.forks"
            ),
        ),
        (
            f"{_PROTOCOL}/standing.py",
            (
                "        for index in range(self.image.forks[fork].begun):\n"
                "            yield self.branches[composite.path_of(fork, index)]\n"
            ),
            (
                "        begun = {composite.path_of(fork, index) for index in range(self.image.forks[fork].begun)}\n"
                "        yield from [branch for path, branch in self.branches.items() if path in begun]\n"
            ),
        ),
    ),
    _bug(
        "keep what a failed node did to its input",
        "4.3",
        "test_promises.py::test_a_node_that_changed_its_input_and_raised",
        (
            f"{_PROTOCOL}/frames.py",
            "        if self.blueprint.flow is not None:\n            return  # nodes",
            "        if True:\n            return  # nodes",
        ),
    ),
    _bug(
        "leave a mailbox unbounded",
        "9.5",
        "test_mailbox.py",
        (
            f"{_ACTORS}/_mailbox.py",
            "trio.open_memory_channel[Envelope[Any, Any]](capacity)",
            'trio.open_memory_channel[Envelope[Any, Any]](float("inf"))',
        ),
    ),
    _bug(
        "let pure nodes run ahead without an end",
        "3, D3",
        "test_machine_durability.py",
        (f"{_PROTOCOL}/stage.py", "max(need - RUN_AHEAD, self.claimed)", "self.claimed"),
        (
            f"{_PROTOCOL}/everyday.py",
            "if not ahead or waits.gate or seq - RUN_AHEAD > self.durable:",
            "if not ahead or waits.gate:",
        ),
    ),
    _bug(
        "show an event before its commit",
        "3, D3",
        "test_machine_durability.py",
        (
            f"{_PROTOCOL}/stage.py",
            "            self.waits.post(record.seq, event)\n",
            "            self.waits.post(0, event)\n",
        ),
    ),
    _bug(
        "show an everyday event before its commit",
        "3, D3",
        "test_machine_durability.py",
        (
            f"{_PROTOCOL}/everyday.py",
            "            waits.outbox.append((seq, self._finished(msg, left)))\n",
            (
                "            waits.outbox.append((0, self._finished(msg, left)))\n"
                "            self.effects.extend(waits.ready(self.durable))\n"
            ),
        ),
    ),
    _bug(
        "show a chunk before what it was made from is durable",
        "3, D3",
        "test_machine_durability.py",
        (
            f"{_PROTOCOL}/visits.py",
            "        self.waits.post(self.fold.image.seq, chunk)\n",
            "        self.effects.append(chunk)\n",
        ),
    ),
    _bug(
        "give a receipt before what it promises is durable",
        "3, D5",
        "test_machine_durability.py test_machine_barriers.py",
        (
            f"{_PROTOCOL}/stage.py",
            "            self.waits.post(self.fold.image.seq, Reply(command_id, receipt))\n",
            "            self.effects.append(Reply(command_id, receipt))\n",
        ),
    ),
    _bug(
        "let the last decision win",
        "6.4",
        "test_machine_barriers.py",
        (f"{_PROTOCOL}/steering.py", "        if first is not None and msg.command_id:\n", "        if False:\n"),
    ),
    _bug(
        "lose a kept decision when another comes",
        "6.5",
        "test_runtime_decisions.py::test_which_of_several_kept_decisions_is_taken",
        (
            f"{_PROTOCOL}/fold.py",
            "return (*(each for each in kept if each.barrier != detail.barrier or not detail.standing), detail)",
            "return (detail,)",
        ),
    ),
    _bug(
        "lose the kept decisions with the process",
        "6.5",
        "test_runtime_decisions.py",
        (
            f"{_PROTOCOL}/packing.py",
            "        data = pack(Snapshot(image, state),",
            "        image = msgspec.structs.replace(image, kept=())\n        data = pack(Snapshot(image, state),",
        ),
        (
            f"{_PROTOCOL}/fold.py",
            "        if isinstance(record.detail, Kept | Withdrawn | Resolution):\n            image.kept",
            "        if isinstance(record.detail, Withdrawn | Resolution):\n            image.kept",
        ),
    ),
    _bug(
        "move the terminal status again",
        "2.1",
        "test_statuses.py",
        (f"{_PROTOCOL}/statuses.py", "    _R.FAILED: frozenset(),\n", "    _R.FAILED: frozenset({_R.QUEUED}),\n"),
    ),
    _bug(
        "approve what nobody decided in time",
        "6.4",
        "test_machine_timeouts.py test_machine_barriers.py test_runtime_barriers.py",
        (
            f"{_PROTOCOL}/steering.py",
            "        elif self._approves(barrier):\n            decision, source = Approve()",
            "        else:\n            decision, source = Approve()",
        ),
    ),
    _bug(
        "count again after a cut what was counted before it",
        "8.9",
        "test_stream_place.py test_client_session.py",
        (
            f"{_PROTOCOL}/stream_place.py",
            "yield Gap(self._last or 0, cursor.missed - owed)",
            "yield Gap(self._last or 0, cursor.missed)",
        ),
    ),
    _bug(
        "go on after a cut where the subscription began",
        "8.9",
        "test_client_session.py",
        (
            f"{_PROTOCOL}/client_session.py",
            "return replace(self.ask, last_event_id=self.place.last_event_id)",
            "return self.ask",
        ),
    ),
    _bug(
        "a bridge does not say what a slow reader has missed",
        "8.2, 8.6",
        "test_foreign_reader.py test_bridge_kit.py",
        (
            f"{_PROTOCOL}/foreign_reader.py",
            "            items.append(gap(self._seen, stream.floor - self._next))\n",
            "",
        ),
    ),
    _bug(
        "the time of a silent producer counts from its beginning",
        "8.6",
        "test_foreign_stream.py",
        (
            f"{_PROTOCOL}/foreign_stream.py",
            "        self.awaiting_input, self._moved = False, now\n",
            "        self.awaiting_input = False\n",
        ),
    ),
    _bug(
        "a stream that is published anew has the ids of the one before it",
        "8.1, 8.6",
        "test_memory_bridge.py test_bridge_kit.py",
        (
            f"{_ACTORS}/_memory_bridge.py",
            "self._births = max(self._births + 1, int(self._clock() * 1000))",
            "self._births = 1",
        ),
    ),
    _bug(
        "who reads the stream of a run is shown another run's event of that id",
        "8.8",
        "test_bridged.py",
        (f"{_PROTOCOL}/bridged.py", "if made is not None and made[0] is item:", "if made is not None:"),
    ),
    _bug(
        "a run that is not to be kept goes while somebody reads it",
        "10.4",
        "test_completions.py",
        (
            f"{_ACTORS}/_completions.py",
            "if run_id not in needed and not self._read_by(run_id):",
            "if run_id not in needed:",
        ),
    ),
    _bug(
        "a required sink is as good as any",
        "8.7",
        "test_sinks.py",
        (f"{_ACTORS}/_feeds.py", "self._required = isinstance(sink, Required)", "self._required = False"),
    ),
    _bug(
        "over HTTP a name that leads here by DNS is a name of the server",
        "12.2",
        "test_http_attacks.py",
        (f"{_ACTORS}/http/_gate.py", "if not host_allowed(", "if not len(own) and not host_allowed("),
    ),
    _bug(
        "over HTTP TLS alone is enough beyond loopback",
        "12.2",
        "test_http_attacks.py",
        (f"{_ACTORS}/http/_serving.py", "not (tls is not None and tokens)", "tls is None"),
    ),
    _bug(
        "an HTTP client that takes nothing is waited for",
        "12.2",
        "test_http_events.py",
        (
            f"{_ACTORS}/http/_connection.py",
            "with trio.move_on_after(self._slow) as",
            "with trio.CancelScope() as",
        ),
    ),
    _bug(
        "over HTTP a Gap moves the cursor of who reads it",
        "8.10",
        "test_sse.py",
        (
            f"{_PROTOCOL}/sse.py",
            'number = getattr(item, "id", None)',
            'number = getattr(item, "id", getattr(item, "after", None))',
        ),
    ),
    _bug(
        "over HTTP a failure that is tried again tells where in the server it was",
        "12.2",
        "test_discreet.py",
        (f"{_PROTOCOL}/discreet.py", "isinstance(event, NodeFailed | RetryScheduled)", "isinstance(event, NodeFailed)"),
    ),
    _bug(
        "a page of another origin may open the console's websocket",
        "13.3",
        "test_console_security.py",
        (
            f"{_ACTORS}/console/_site.py",
            'if not self._origins.has_origin(asked.all("origin")):',
            'if asked.all("origin") == ["null"]:',
        ),
    ),
    _bug(
        "a name that leads to this machine by DNS is the server's",
        "13.3",
        "test_console_security.py",
        (
            f"{_ACTORS}/console/_origins.py",
            "return host_allowed(hosts, self.hosts, self._scheme)",
            "return any(host in hosts[0] for host in self.hosts)",
        ),
    ),
    _bug(
        "a frame that is too large is read before it is refused",
        "13.5",
        "test_console_security.py test_console_frame_heads.py",
        (f"{_ACTORS}/console/_frame_heads.py", "if self._message > self._limit:", "if False:"),
    ),
    _bug(
        "a browser's token may be any",
        "13.2",
        "test_console_security.py",
        (
            f"{_ACTORS}/console/_access.py",
            "return None if holder is None else",
            "return Grant(ALL_SCOPES, '') if subprotocols[1:] else None if holder is None else",
        ),
    ),
    _bug(
        "clients are shown the frames of a failure",
        "13.6",
        "test_console_security.py",
        (f"{_ACTORS}/console/_connection.py", "write_event(discreet_event(event))", "write_event(event)"),
    ),
    _bug(
        "what is pasted is typed, key by key",
        "13.11",
        "test_keystrokes.py",
        (f"{_PROTOCOL}/keystrokes.py", "if found[0] == _BEGIN:", "if not found[0]:"),
    ),
    _bug(
        "an answer goes to the run that is selected by then",
        "13.11",
        "test_screen.py",
        (
            f"{_PROTOCOL}/screen.py",
            'self._send(Decide("", run_id, barrier, decision, self.who))',
            'self._send(Decide("", self.runs.selected, barrier, decision, self.who))',
        ),
    ),
    _bug(
        "what a run says is written to the terminal as it is",
        "13.12",
        "test_screen.py test_screen_sheet.py test_cli_console.py",
        (f"{_PROTOCOL}/screen_lines.py", "return Span(visible(text), role)", "return Span(text, role)"),
    ),
    _bug(
        "a console that is told to end leaves the terminal without an echo",
        "13.12",
        "test_cli_console.py",
        (f"{_ACTORS}/_cli/_tty.py", "termios.tcsetattr(self.keys, termios.TCSANOW, self._before)", "pass"),
    ),
    _bug(
        "a reader that is too slow has everything kept for it",
        "13.9",
        "test_console_server.py",
        (f"{_ACTORS}/console/_outbox.py", "while self._bytes > CONSOLE_OUTBOX:", "while False:"),
    ),
    _bug(
        "events are sent one by one",
        "13.9",
        "test_console_server.py",
        (
            f"{_ACTORS}/console/_connection.py",
            "        self._do(self._session.tell(number, told))",
            "        [self._do(self._session.tell(number, [each])) for each in told]",
        ),
    ),
    _bug(
        "a client hears nothing of what it asked while it was sending",
        "13.8",
        "test_console_client.py",
        (
            f"{_ACTORS}/console/_client.py",
            "                await stirred.wait()\n",
            "                self._stirred = trio.Event()\n                await self._stirred.wait()\n",
        ),
    ),
    _bug(
        "a client that lost its connection begins from the beginning",
        "8.9",
        "test_console_client.py test_console_crash.py",
        (
            f"{_PROTOCOL}/client_session.py",
            "return replace(self.ask, last_event_id=self.place.last_event_id)",
            "self.place = StreamPlace(None)\n        return self.ask",
        ),
    ),
    _bug(
        "an owner without the graph answers for all of them",
        "11.3",
        "test_neighbours.py::test_who_has_the_graph_answers_whoever_is_asked_first",
        (
            f"{_ACTORS}/_inbox.py",
            "if isinstance(error, UnknownGraph) and self._store.lease is not None:",
            "if isinstance(error, UnknownGraph) and self._store.lease is None:",
        ),
    ),
    _bug(
        "what an owner has declined it is given again at once",
        "11.3",
        "test_neighbours.py::test_a_command_waits_for_an_owner_that_has_the_graph",
        (
            f"{_ACTORS}/testing/_simulated_owners.py",
            "self._declined[name, command_id] = trio.current_time() + pause",
            "self._declined[name, command_id] = trio.current_time()",
        ),
    ),
    _bug(
        "prune keeps the newest checkpoint alone",
        "15.3",
        "test_langgraph_graphs.py::test_prune_keeps_what_a_delta_channel_needs",
        (
            f"{_ACTORS}/langgraph/_pruning.py",
            "    while left and (parent := there[place].saved.parent) is not None:",
            "    while False and (parent := there[place].saved.parent) is not None:",
        ),
    ),
    _bug(
        "a delta channel is read from one checkpoint to the one before it",
        "15.2",
        "test_langgraph_laws.py::test_a_delta_channel_is_read_from_parent_to_parent",
        (
            f"{_ACTORS}/langgraph/_history.py",
            "            at = saved.parent",
            "            at = max(loaded, default=None)",
        ),
    ),
    _bug(
        "whatever name is stored is called",
        "15.4",
        "test_langgraph_checkpointer.py::test_a_name_in_what_is_stored_imports_nothing_and_calls_nothing",
        (
            f"{_ACTORS}/langgraph/_serializer.py",
            "    return isinstance(kind, type) and _is_class_of_data(kind)",
            "    return True",
        ),
    ),
)
