"""The domain: specs, states, errors, ids, clock and the pure decisions. Standard library only."""
