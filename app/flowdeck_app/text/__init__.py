"""Records as text: pure functions, used by the command line and by the app.

Nothing here opens a file, reads a clock or knows a terminal: how wide, how colourful and what time
it is comes in as a :class:`~flowdeck_app.text.look.Look`.
"""
