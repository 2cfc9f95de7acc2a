"""Two films against each other: takes, jobs, or the source against its dub."""
