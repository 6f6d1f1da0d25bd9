"""What runs in a server pod: reads and verifies models, starts an engine, and asks it a real prompt."""
