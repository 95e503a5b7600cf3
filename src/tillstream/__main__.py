"""Entry point of `python -m tillstream`, the same as the `tillstream` command."""

from tillstream.cli.main import main

main()
