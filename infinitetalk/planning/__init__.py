"""What a film will be before any weight is read: chunks, sources, checks, estimate."""
