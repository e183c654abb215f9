"""Reading a run together with the subflow runs below it."""
