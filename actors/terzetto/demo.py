"""The audit that `terzetto demo` runs, as a graph of your own program would import it.

`audit` is the graph, `Audit` its state: `Audit(root="/folder/to/audit", out="/folder/for/the/report", title="name")`.
"""

from ._demo.graph import Audit, audit
from ._demo.scan import FileRow, Summary

__all__ = ["Audit", "FileRow", "Summary", "audit"]
