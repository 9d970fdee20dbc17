"""The pure half of ``terzetto demo``: read one Python file, fold its row into a summary, draw the report.

Nothing in here knows of Trio or of Terzetto; the graph that calls these functions is where they meet.
"""
