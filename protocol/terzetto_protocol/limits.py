"""Every limit that Terzetto keeps by default, named, with its unit."""

from typing import Final

MESSAGE_BYTES: Final = 1024 * 1024
"""Largest encoded message or mutation batch, bytes."""
STATE_BYTES: Final = 16 * 1024 * 1024
"""Largest encoded state, bytes."""
BLOB_BYTES: Final = 1024 * 1024 * 1024
"""Largest blob, bytes."""
BLOB_CHUNK: Final = 256 * 1024
"""Pieces in which a blob is stored and read, bytes; commits go between two of them."""
BLOB_READ: Final = 16 * 1024 * 1024
"""Largest blob that is read into memory at once unless one says otherwise, bytes."""
BLOB_GRACE: Final = 24 * 3600.0
"""Time for which a blob that no run has named yet is kept, seconds."""
BLOB_SWEEP: Final = 60.0
"""How often blobs are looked for that nobody names any more, seconds."""
BLOB_SWEEP_CHUNKS: Final = 16
"""Chunks that one transaction frees at most."""
DEPTH: Final = 64
"""Deepest nesting of a message, containers; checked before decoding."""
PAYLOAD_DEPTH: Final = DEPTH - 16
"""Deepest nesting of what a barrier or a chunk shows, containers: a message around it fits into `DEPTH`."""
ERROR_LENGTH: Final = 4096
"""Longest text kept of one exception, characters."""
ERROR_LEAVES: Final = 16
"""Exceptions of a group that a failure tells of, the first ones; further ones are counted."""
OBSERVED_LENGTH: Final = 1024
"""Longest text kept of an error that a node reports and goes on, characters."""
OBSERVED_VISIT: Final = 16
"""Errors that one attempt of a visit may report; further ones are counted."""
OBSERVED_RUN: Final = 64
"""Errors that a run's result lists, the first ones; further ones are counted."""
ID_LENGTH: Final = 128
"""Longest run id, characters."""
LABEL_LENGTH: Final = 200
"""Longest label of a checkpoint, characters."""
MAX_STEPS: Final = 10_000
"""Visits that a run may make unless it says otherwise."""
MAILBOX: Final = 256
"""Messages that a mailbox holds before `tell` waits."""
RUN_AHEAD: Final = 256
"""Commits of one run that may be on their way while pure nodes go on."""
EVENT_WINDOW: Final = 256
"""Events of one run kept in memory."""
EVENT_WINDOW_BYTES: Final = 10 * 1024 * 1024
"""Bytes of one run's events kept in memory."""
HEARTBEAT: Final = 15.0
"""Idle time after which a stream sends a heartbeat, seconds."""
SINK_DEADLINE: Final = 5.0
"""Time that one call of a sink may take, seconds."""
SINK_GRACE: Final = 5.0
"""Time that sinks have to be told the rest when a runtime is left or `terzetto.run` has ended, seconds."""
RECONNECT_GRACE: Final = 10.0
"""Time that the last reader of a run has to come back before `on_disconnect="cancel"` cancels it, seconds."""
BRIDGE_STREAMS: Final = 1000
"""Streams of foreign producers that a bridge keeps in memory."""
DEAD_LETTER: Final = 600.0
"""Time without a publish after which the stream of a foreign producer ends with an error, seconds."""
DEAD_LETTER_AWAITING: Final = 7200.0
"""The same while it is marked as awaiting input, seconds."""
STREAM_RETENTION: Final = 300.0
"""Time for which the stream of a foreign producer is kept after its end, seconds."""
STREAM_UNREAD: Final = 60.0
"""Time for which it is kept without readers after its end, seconds."""
CLAIMS: Final = 3
"""Claims without a new commit after which a run is given up."""
CANCEL_GRACE: Final = 5.0
"""Time that a cancelled node has for its cleanup, seconds."""
FLOW_GRACE: Final = 3.0
"""Time that a cancelled flow of Metaflow has between SIGINT and SIGKILL, seconds."""
FLOW_LINE: Final = 16 * 1024
"""Longest line of the log of a flow of Metaflow that is told, bytes."""
FLOW_TAIL: Final = 20
"""Lines of the log of a flow that has failed that its error tells, the last ones."""
SHUTDOWN_DEADLINE: Final = 10.0
"""Time that running work has to reach its commits at shutdown, seconds."""
POOL_SIZE: Final = 1000
"""Runs that are live at once in one runtime."""
QUEUE_SIZE: Final = 10_000
"""Runs that wait for a slot before `submit` raises `QueueFull`."""
THREAD_QUEUE: Final = 256
"""Runs that wait for their turn on one thread before `submit` raises `QueueFull`."""
INBOX_POLL: Final = 0.2
"""How often an owner looks for commands of other processes, seconds."""
CLEANER_INTERVAL: Final = 10.0
"""How often a runtime with a `Retention` looks for what may be forgotten, seconds."""
FINISHED_GRACE: Final = 10.0
"""Time for which a run that has ended is kept whatever a `Retention` says, so that its end can be read, seconds."""
PRUNE_COMMITS: Final = 1000
"""Commits that a retention cuts at once, if there is a checkpoint in between."""
GROUP_COMMITS: Final = 1024
"""Commits that one transaction takes at most."""
HELD_COMMITS: Final = 256
"""Commits that a run with `durability="barriers"` or `"exit"` keeps to itself at most before it writes them."""
FLOW_LIMIT: Final = 100
"""Visits of a dataflow that are under way at once."""
THREADS: Final = 40
"""Plain functions of nodes that run in threads at once, in one event loop; abandoned ones count until they return."""
WIRE_RATE: Final = 50.0
"""Frames that one connection to the console may send each second, once its burst is used up."""
WIRE_BURST: Final = 200
"""Frames that it may send at once: more than a client asks anew when it comes back."""
WIRE_REQUESTS: Final = 64
"""Requests of one connection that wait for their answers."""
WIRE_SUBSCRIPTIONS: Final = 64
"""Subscriptions of one connection."""
WIRE_LIST: Final = 1000
"""Runs, commits, barriers or visits that one answer lists at most."""
WIRE_PIECE: Final = 256 * 1024
"""Bytes of JSON text after which a long answer, or a frame of events, goes on in the next one."""
WIRE_ANSWER: Final = 8 * 1024 * 1024
"""Largest frame that a server sends, and a client takes: one event or commit may be as large, bytes."""
HTTP_RATE: Final = 50.0
"""Requests that one address may send each second over HTTP, once its burst is used up."""
HTTP_BURST: Final = 200
"""Requests that it may send at once."""
HTTP_ASKERS: Final = 4096
"""Addresses whose rate is remembered."""
SERVER_CONNECTIONS: Final = 256
"""Connections that a server, of HTTP or of the console, has at once."""
SERVER_ADDRESS: Final = 64
"""Connections from one address that it has at once."""
SERVER_HEAD: Final = 16 * 1024
"""Largest head of a request, bytes."""
HTTP_IDLE: Final = 10.0
"""Time in which the head of a request has to come, also of the next one on the same connection, seconds."""
HTTP_BODY: Final = 10.0
"""Time in which the body of a request has to come, seconds."""
SERVER_SLOW: Final = 30.0
"""Time in which a client has to take one piece of an answer, or one frame, before its connection is closed, seconds."""
HTTP_STOP: Final = 15.0
"""Time for which a `stop` waits for the end of its run, seconds."""
CONSOLE_HANDSHAKE: Final = 10.0
"""Time from the connection to the end of the handshake, or of a request for a page and its answer, seconds."""
CONSOLE_PING: Final = 20.0
"""How often each side of a connection is asked whether it is there, seconds."""
CONSOLE_PONG: Final = 20.0
"""Time in which it has to answer, seconds."""
CONSOLE_OUTBOX: Final = 1024 * 1024
"""Bytes that wait for one client before nothing more is made for it."""
CONSOLE_QUERIES: Final = 8
"""Queries of one connection that are answered at once."""
CONSOLE_FRAGMENTS: Final = 1024
"""Fragments of one message of a client."""
CONSOLE_CHANGES: Final = 0.25
"""How often those who follow runs are told what has changed, seconds."""
