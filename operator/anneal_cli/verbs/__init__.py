"""One module per verb: HELP, `configure(parser)` and `run(args, session)`, which returns the exit code."""
