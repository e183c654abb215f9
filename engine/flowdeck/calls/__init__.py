"""Calls of flows and tasks: from the arguments to a run that is recorded and executed."""
