"""Two films against each other on the page."""
