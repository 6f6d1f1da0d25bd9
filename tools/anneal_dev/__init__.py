"""Developer tooling behind the Makefile: environments, the demo, and the test rigs. Standard library only."""
