"""All input and output: the client, what a pass reads (observe), what it writes (execute), and the lease."""
