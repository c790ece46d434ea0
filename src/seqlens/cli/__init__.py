"""The command line. Results go to stdout, everything else to stderr; exit codes 0, 1 (work), 2 (request)."""
