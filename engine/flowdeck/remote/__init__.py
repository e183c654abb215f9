"""Task runs that execute in other processes: what travels there, and what comes home."""
