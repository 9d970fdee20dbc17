"""Mistakes that would break a promise, and the tests that must notice each: see `bugs`."""
