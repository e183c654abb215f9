"""Verbs that find, run, repeat and stop flows."""
