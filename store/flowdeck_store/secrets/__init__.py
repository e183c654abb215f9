"""What is secret, and hiding it in every text that is recorded or exported."""
