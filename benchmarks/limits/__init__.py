"""Raw loops that do what nobody can leave out who keeps the promises of docs/semantics.md, and nothing besides.

Nothing of Terzetto is imported here: attrs, msgspec, Trio, apsw, and the states of `_states.py`. A part is in a limit
only where a promise demands it of every implementation in pure Python on Trio; the docstrings name the section. What
has a cheaper way is done in the cheaper way, also where Terzetto does not. No loop looks at what does not happen in
the work at hand: failing steps, other edges, decisions, retries, a second owner. To be ready for these without looking
is what no real one can do, so a limit is out of reach, and says where the ground is.
"""
