"""Telling people that a flow run has ended, or goes on for long."""
