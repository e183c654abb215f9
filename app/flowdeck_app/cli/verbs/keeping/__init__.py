"""Verbs that keep the record, and the installation, in order."""
