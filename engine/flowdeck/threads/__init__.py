"""Where code of users executes: threads, event loops, child processes, the run they work for, and
stopping them."""
