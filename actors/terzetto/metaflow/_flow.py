"""A flow of Metaflow as a node's work.

Which run of Metaflow belongs to a visit is written into the folder of its flow, under the visit's own key: whoever
makes the visit again, in this process or another one, resumes that.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from attrs import Factory, define
from msgspec import Struct

from terzetto_protocol.context import FlowContext, NodeContext
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.forms import Form
from terzetto_protocol.ids import check_choice, check_seconds
from terzetto_protocol.limits import FLOW_GRACE, FLOW_TAIL

from ._failed import FlowFailed
from ._lines import Progress, line_of
from ._process import asked, reader, watched

Mode: TypeAlias = Literal["local", "batch", "remote"]
MODES: Final[tuple[Mode, ...]] = ("local", "batch", "remote")
_WITH: Final = {"local": (), "batch": ("--with", "batch"), "remote": ("--with", "kubernetes")}
_RESERVED: Final = frozenset({"help", "namespace", "tag", "with"})
"""What Metaflow's own options are called that could be the name of a parameter."""

GuestContext: TypeAlias = NodeContext[Any, Any] | FlowContext[Any]


class FlowResult(Struct, frozen=True):
    """What a flow has come to."""

    flow: str
    run_id: str
    """Metaflow's."""
    artifacts: dict[str, Any]
    """Those that were asked for, by name."""
    origin: str = ""
    """The run of Metaflow that this one resumed, or empty."""


async def run_flow(
    ctx: GuestContext,
    file: str | Path,
    /,
    *,
    parameters: Mapping[str, Any] | None = None,
    root: str | Path = ".",
    mode: Mode = "local",
    artifacts: Mapping[str, type[Any]] | Sequence[str] = (),
    origin: str = "",
    environment: Mapping[str, str] | None = None,
    python: str = sys.executable,
    grace: float = FLOW_GRACE,
) -> FlowResult:
    """Run a flow's file as a child process within a node, and return its artifacts. A checkpoint.

    A node that runs again, in another attempt or after a crash, resumes the run of Metaflow that this visit began: its
    finished tasks do not run again, and neither does a flow that had come to its end.

    Cancelled, all processes of the flow get SIGINT, and after the grace SIGKILL; the same happens when this process
    dies. What the flow has done by then stays done.

    Args:
        ctx: of the node. Each line is a `CustomChunk` `metaflow.log`, each step of a task a `metaflow.step`.
        file: Python file of a `FlowSpec`.
        parameters: of the flow: texts, numbers and bools; what is a list or a dict is given as JSON. Those of a run
            that is resumed stay what they were.
        root: the folder in which Metaflow keeps what it makes, below `.metaflow`.
        mode: `"local"`; `"batch"` and `"remote"` are Metaflow's `--with batch` and `--with kubernetes`, for which its
            own configuration says where data are kept.
        artifacts: names of artifacts of the end of the flow that are JSON, or their types by name.
        origin: a run of Metaflow to resume, that no node of this run began.
        environment: variables of the flow's environment, besides those of this process.
        python: the interpreter, which needs Metaflow.
        grace: seconds between SIGINT and SIGKILL.

    Raises:
        FlowFailed: the flow failed, or an artifact is not there, or is no JSON; it names Metaflow's run.
        Malformed: an artifact is not of its type.
        InvalidRequest: there is no such file, a parameter has no name, or the mode is unknown.
        ImportError: Metaflow is not installed.
    """
    forms, options = _forms(artifacts), _options(parameters or {})
    flow = _Flow(ctx, _file(file), _absolute(root), check_choice(mode, MODES, "mode"), python)
    if python == sys.executable and find_spec("metaflow") is None:
        raise ImportError("terzetto.metaflow needs metaflow: pip install 'terzetto[metaflow]'", name="metaflow")
    seconds = check_seconds(grace, "grace")
    assert seconds is not None, "it is a number"
    flow.environment.update(environment or {})
    life, before = Life(flow), origin
    for run_id in life.began:
        told = await life.look(run_id, list(forms))
        if told["successful"]:  # it had come to its end, and nobody was told
            return life.result(run_id, told, forms)
        if told["resumable"]:
            before = run_id
            break
    run_id = await life.run(before, options, seconds)
    return life.result(run_id, await life.look(run_id, list(forms)), forms, before)


@define
class _Flow:
    """A flow of one visit."""

    ctx: GuestContext
    file: Path
    root: Path
    mode: Mode
    python: str
    name: str = ""
    environment: dict[str, str] = Factory(lambda self: _environment(self.root, self.mode), takes_self=True)


class Life:
    """What is written about the flow of one visit, and what that is good for."""

    def __init__(self, flow: _Flow) -> None:
        self.flow: Final = flow
        self.folder: Final = flow.root / ".terzetto" / flow.ctx.key
        self.folder.mkdir(parents=True, exist_ok=True)
        self._tail: list[str] = []
        self._progress: Final = Progress()
        flow.name = self._read("flow") or flow.file.stem

    @property
    def began(self) -> list[str]:
        """Metaflow's ids of the runs that this visit began, newest first."""
        ids = [self._read(path.name) for path in sorted(self.folder.glob("run-*"), reverse=True)]
        return [each for each in ids if each]

    def _read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    async def run(self, origin: str, options: Sequence[str], grace: float) -> str:
        """Run the flow, or resume it, and return Metaflow's id of the run; raises `FlowFailed`."""
        flow, number = self.flow, len(list(self.folder.glob("run-*")))
        say = ("resume", "--origin-run-id", origin) if origin else ("run", *options)
        written = f"run-{number:04d}"
        command = [
            *(flow.python, str(flow.file), "--no-pylint", *say, *_WITH[flow.mode]),
            *("--run-id-file", str(self.folder / written)),
        ]
        code = await watched(command, flow.environment, self.folder / "lock", grace, self._hear)
        run_id = self._read(written)
        if code != 0:
            lines = "\n".join(self._tail)
            raise FlowFailed(flow.name, run_id, f"it ended with {code}; its last lines:\n{lines}")
        return run_id

    def _hear(self, raw: bytes) -> None:
        line, ctx = line_of(raw), self.flow.ctx
        if line.flow:
            self.flow.name = line.flow
            (self.folder / "flow").write_text(line.flow, encoding="utf-8")
        self._tail = [*self._tail, line.text][-FLOW_TAIL:]
        ctx.emit("metaflow.log", {"run": line.run, "step": line.step, "task": line.task, "text": line.text})
        step = self._progress.note(line)
        if step is not None:
            ctx.emit("metaflow.step", step)
            if step["status"] == "failed":
                ctx.report(
                    f"step {line.step} of flow {self.flow.name} failed (task {line.run}/{line.step}/{line.task})"
                )

    async def look(self, run_id: str, names: Sequence[str]) -> dict[str, Any]:
        """What Metaflow has of a run; raises `FlowFailed`."""
        flow = self.flow
        code, out, errors = await asked(reader(flow.python, flow.name, run_id, *names), flow.environment)
        if code != 0:
            last = errors.strip().splitlines()[-1:] or ["it said nothing"]
            raise FlowFailed(flow.name, run_id, f"its artifacts cannot be read: {last[0]}")
        told: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return told

    def result(
        self, run_id: str, told: Mapping[str, Any], forms: Mapping[str, Form[Any] | None], origin: str = ""
    ) -> FlowResult:
        """The artifacts as what they were declared to be; raises `FlowFailed` and `Malformed`."""
        name = self.flow.name
        if not told["successful"]:
            raise FlowFailed(name, run_id, "Metaflow does not know it as successful")
        for artifact, reason in told["errors"].items():
            raise FlowFailed(name, run_id, f"artifact {artifact!r} cannot be read: {reason}")
        values = {artifact: _formed(artifact, value, forms[artifact]) for artifact, value in told["artifacts"].items()}
        return FlowResult(name, run_id, values, origin)


def _formed(name: str, value: Any, form: Form[Any] | None) -> Any:
    return value if form is None else form.from_json(json.dumps(value).encode(), f"artifact {name!r}")


def _absolute(path: str | Path) -> Path:
    return Path(path).absolute()


def _file(file: str | Path) -> Path:
    path = _absolute(file)
    if not path.is_file():
        raise InvalidRequest(f"there is no flow {str(file)!r}")
    return path


def _forms(artifacts: Mapping[str, type[Any]] | Sequence[str]) -> dict[str, Form[Any] | None]:
    if isinstance(artifacts, str):
        raise InvalidRequest(f"artifacts={artifacts!r:.80}: give a list of names, also of one")
    types: Mapping[str, Any] = artifacts if isinstance(artifacts, Mapping) else dict.fromkeys(artifacts)
    for name in types:
        if not (isinstance(name, str) and name.isidentifier()) or name.startswith("_"):
            raise InvalidRequest(f"{name!r:.80} is no name of an artifact")
    return {name: None if kind is None else Form(kind) for name, kind in types.items()}


def _options(parameters: Mapping[str, Any]) -> list[str]:
    """Parameters as Metaflow takes them; none of them can be taken for an option of its own."""
    made: list[str] = []
    for name, value in parameters.items():
        if not (isinstance(name, str) and name.isidentifier()) or name in _RESERVED:
            raise InvalidRequest(f"{name!r:.80} is no name of a parameter")
        if value is None:
            continue
        try:
            text = value if isinstance(value, str) else str(value) if isinstance(value, bool) else json.dumps(value)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"parameter {name}: {value!r:.80} cannot be given to a flow ({error})") from error
        made.append(f"--{name}={text}")
    return made


def _environment(root: Path, mode: Mode) -> dict[str, str]:
    known = dict(os.environ)
    user = known.get("METAFLOW_USER") or known.get("USER") or known.get("USERNAME") or "terzetto"
    made = known | {"METAFLOW_USER": user, "PYTHONUNBUFFERED": "1"}
    if mode != "local":
        return made
    return made | {
        "METAFLOW_DEFAULT_DATASTORE": "local",
        "METAFLOW_DEFAULT_METADATA": "local",
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root),
        "METAFLOW_HOME": str(root),
    }
