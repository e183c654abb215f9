"""Flow runs and task runs: from a call to a run that is recorded."""
