"""Builds Anneal's container images without a Docker engine and hands them to the local cluster."""
