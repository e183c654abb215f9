"""Questions that tasks and flows ask people, and wait for the answers: ``ask`` and ``pause``."""
