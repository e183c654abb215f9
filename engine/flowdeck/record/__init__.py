"""What was recorded, for programs: runs, task runs, failures, logs and kept values.

>>> from flowdeck.record import Record
>>> for run in Record().runs("state:failed since:7d"):
...     print(run.number, run.cause)

Nothing here can change the record, but that questions of runs can be answered; what can is in the
command line. Everything is read when it is
asked for, so an object tells what was so when it was made, and its methods what is so now.
"""

from flowdeck.record.asked import RecordedQuestion
from flowdeck.record.client import Record
from flowdeck.record.objects import RecordedRun, RecordedTask
from flowdeck.record.pieces import RecordedFailure, RecordedLine, RecordedState
from flowdeck.record.rows import Rows

__all__ = [
    "Record", "RecordedFailure", "RecordedLine", "RecordedQuestion", "RecordedRun", "RecordedState", "RecordedTask",
    "Rows",
]  # fmt: skip
