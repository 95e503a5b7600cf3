"""`python -m tillstream` is the `tillstream` command."""

from tillstream.cli.main import main

main()
