"""All I/O of the operator: the client, gathering facts, carrying out plans, the Lease."""
