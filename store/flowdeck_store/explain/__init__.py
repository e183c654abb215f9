"""Why a run took as long as it did, and why it ended as it did. Pure, told from the record alone."""
