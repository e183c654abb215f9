"""A recording session: from an event that is emitted to rows that are committed."""
