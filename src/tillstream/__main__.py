"""The entry point of `python -m tillstream`. It runs the `tillstream` command."""

from tillstream.cli.main import main

main()
