"""The chunk store: job folders, takes, the queue of films."""
