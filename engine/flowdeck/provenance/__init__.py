"""What a run ran as: interpreter, packages, repository, files, code.

Recorded once for each root flow run, at its start: a run that fails, or is killed, is the one that
somebody asks about later. What is known at once (arguments, folder, variables) goes into the record with
the run. The rest is found out beside it on a thread of its own, because it costs more than a short run
may: names and versions of all packages 2-5 ms (their folders' names are read, not their metadata, which
took 150 ms for 200 packages), the repository a few calls of git, 10-30 ms, and in one of 100,000 files
seconds, so that each call has a time limit.

Nothing waits for that thread but the end of the process, for a second at most. What is not known by
then is not in the record, and says so nowhere as if it were: a field that is missing is unknown.
"""
