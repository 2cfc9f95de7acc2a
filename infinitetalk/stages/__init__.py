"""One file for each feature of a chunk; `base` says what a stage is."""
