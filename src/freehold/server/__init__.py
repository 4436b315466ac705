"""The control plane: what runs where, what was called, what it cost; it never sees user code or user values."""
