"""How things look: one vocabulary for the command line and the app. Pure.

What both show is said here once: signs and words of states, times, amounts, how text is made safe
and cut. They differ in the last step: ``tables`` and what is called ``painted`` write lines for a
terminal, ``columns``, ``bars`` and ``pieces`` Textual's Content. Only the latter import Textual, which
takes a tenth of a second that ``flowdeck runs`` must not cost.
"""
