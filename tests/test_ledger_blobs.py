"""The second book's blobs: what is kept is never swept."""

from terzetto.testing._ledger_blobs import BlobBook


def test_what_a_run_keeps_is_not_swept():
    """4.7"""
    problems = []

    def check(run_id, fine, promise):
        if not fine:
            problems.append(f"{run_id}: {promise}")

    book = BlobBook(check)
    book.named("r", ["blob:1", "blob:2"])
    book.named("r", ["blob:3"])
    book.named("s", ["blob:2"])
    book.swept(["blob:4"])
    assert [] == problems
    book.deleted("r")
    book.swept(["blob:1", "blob:3"])
    assert [] == problems
    book.swept(["blob:2"])
    assert ["s: blob:2 was swept, and it keeps it"] == problems
