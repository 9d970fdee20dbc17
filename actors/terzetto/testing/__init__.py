"""What people test their own graphs and stores with."""

from .. import _faults
from ._bridge_kit import BRIDGE_LAWS as BRIDGE_LAWS, BridgeKit as BridgeKit
from ._context import (
    Emissions as Emissions,
    context as context,
    emissions as emissions,
    flow_context as flow_context,
    recorded as recorded,
    reported as reported,
    sent as sent,
)
from ._decider import (
    Later as Later,
    ScriptedDecider as ScriptedDecider,
    UnscriptedBarrier as UnscriptedBarrier,
)
from ._fault_store import FaultStore as FaultStore
from ._fixtures import DeciderMaker as DeciderMaker, RuntimeOpener as RuntimeOpener
from ._inventing import invent as invent, invent_faults as invent_faults
from ._leaks import Leaked as Leaked, assert_no_leaks as assert_no_leaks
from ._places import (
    AfterNode as AfterNode,
    AtPoint as AtPoint,
    OnDispatch as OnDispatch,
    OnMailbox as OnMailbox,
    OnNode as OnNode,
    OnStore as OnStore,
    StoreCall as StoreCall,
)
from ._plan import FaultPlan as FaultPlan
from ._recorder import EventRecorder as EventRecorder
from ._rules import Fault as Fault, ImpossibleFault as ImpossibleFault
from ._scenario import (
    Act as Act,
    Crash as Crash,
    CrashAt as CrashAt,
    Freeze as Freeze,
    Person as Person,
    Release as Release,
    Restart as Restart,
    Scenario as Scenario,
    Submission as Submission,
)
from ._simulated_luck import Trouble as Trouble
from ._simulated_store import SimulatedDisk as SimulatedDisk, SimulatedStore as SimulatedStore
from ._simulation import Simulation as Simulation, simulate as simulate
from ._store_kit import STORE_LAWS as STORE_LAWS, StoreKit as StoreKit
from ._sweep import PromiseBroken as PromiseBroken, sweep as sweep
from ._virtual_time import advance as advance, run_virtually as run_virtually, settled as settled
from ._world import World as World

points = _faults.POINTS
"""Every named fault point, and what is true when it is passed."""

__all__ = [
    "BRIDGE_LAWS",
    "STORE_LAWS",
    "Act",
    "AfterNode",
    "AtPoint",
    "BridgeKit",
    "Crash",
    "CrashAt",
    "DeciderMaker",
    "Emissions",
    "EventRecorder",
    "Fault",
    "FaultPlan",
    "FaultStore",
    "Freeze",
    "ImpossibleFault",
    "Later",
    "Leaked",
    "OnDispatch",
    "OnMailbox",
    "OnNode",
    "OnStore",
    "Person",
    "PromiseBroken",
    "Release",
    "Restart",
    "RuntimeOpener",
    "Scenario",
    "ScriptedDecider",
    "SimulatedDisk",
    "SimulatedStore",
    "Simulation",
    "StoreCall",
    "StoreKit",
    "Submission",
    "Trouble",
    "UnscriptedBarrier",
    "World",
    "advance",
    "assert_no_leaks",
    "context",
    "emissions",
    "flow_context",
    "invent",
    "invent_faults",
    "points",
    "recorded",
    "reported",
    "run_virtually",
    "sent",
    "settled",
    "simulate",
    "sweep",
]
