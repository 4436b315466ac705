"""Training recipes and run tracking. Not built yet."""
