"""Renders Compose, Kubernetes and the observing stack from one topology. Not built yet."""
