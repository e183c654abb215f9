"""Asking people on the terminal."""
