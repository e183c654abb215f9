"""The screen of one flow run."""
