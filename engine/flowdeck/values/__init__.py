"""Values of users: bounded texts of them, what they are, what of them is secret."""
