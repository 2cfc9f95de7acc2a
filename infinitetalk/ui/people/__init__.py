"""Who of two people speaks with which voice: boxes on the picture."""
