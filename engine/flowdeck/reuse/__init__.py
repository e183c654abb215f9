"""Not doing again what is done: kept results, caches, re-runs."""
