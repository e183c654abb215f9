"""The screen of one task run."""
