"""Tables from published key names to those of our networks."""
