"""Acting on runs: what the command line and the screens do alike.

Each caller words what came of it by itself; what is decided, and in which order, stands here.
"""
