"""Failures of many runs as groups: the same type of exception at the same place."""
