"""The launch dialog."""
