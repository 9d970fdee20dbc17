"""Shelves: ordered rows of bytes in rooms, over memory, SQLite, Redis and Postgres. What is kept there is not their business."""
