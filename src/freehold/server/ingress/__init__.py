"""What people connect to: one main listener before the control API, and a listener of its own for each web endpoint."""
