"""Terzetto beside the raw Trio and raw SQLite loops that do the same work; `python -m benchmarks`."""
