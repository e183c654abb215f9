"""Records as lines of text for the command line, and for what the app copies and exports. Pure.

Nothing here opens a file, reads a clock or knows a terminal: a ``Look`` says all of that.
"""
