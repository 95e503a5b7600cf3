"""`python -m tillstream` is the `tillstream` command."""

from tillstream.cli import main

main()
