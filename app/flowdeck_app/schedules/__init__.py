"""Flows that start by the clock, without a server: systemd's user timers or cron start them.

``definition`` is what a schedule is, a file beside the record; ``cron`` says when it is due; ``timers``
has it written where the machine's clock work finds it; ``firing`` is what that calls; ``overview`` is
what became of it: last, next and missed runs.
"""
