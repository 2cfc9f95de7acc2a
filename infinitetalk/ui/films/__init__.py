"""The visitor's films and the queue."""
