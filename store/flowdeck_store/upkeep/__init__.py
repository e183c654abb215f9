"""What keeps a record sound over time: recovery, retention, deletion, backup, launches."""
