"""What the user chooses, checked when it is made: requests, settings, presets."""
