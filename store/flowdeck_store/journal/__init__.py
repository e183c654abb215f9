"""Events on disk before SQLite has them: a chain of segments that a kill cannot tear."""
