"""Shelves: ordered rows of bytes in rooms, in memory, SQLite, Redis or Postgres. They do not know what the rows say."""
