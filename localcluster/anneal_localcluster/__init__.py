"""A real single-node Kubernetes on this machine, built from Go modules: no Docker, no registry."""
