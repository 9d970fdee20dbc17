"""What is raised for a flow that did not come to its end."""

from terzetto_protocol.errors import TerzettoError


class FlowFailed(TerzettoError):
    """A flow of Metaflow failed, or its artifacts could not be read; `run_id` is Metaflow's, and may be resumed."""

    def __init__(self, flow: str, run_id: str, reason: str) -> None:
        self.flow, self.run_id, self.reason = flow, run_id, reason
        which = f"flow {flow} (run {run_id})" if run_id else f"flow {flow}"
        super().__init__(f"{which}: {reason}")
