"""`python -m groundwork`."""

from groundwork.cli.main import main

main()
