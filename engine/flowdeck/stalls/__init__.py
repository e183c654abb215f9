"""Saying why nothing goes on: who waits for whom, and for what. See :mod:`flowdeck.stalls.watch`."""
