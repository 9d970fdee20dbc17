"""Terzetto beside its peers and the raw loops that do the same work; `python -m benchmarks`."""
