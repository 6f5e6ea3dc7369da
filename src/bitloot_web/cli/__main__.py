"""`python -m bitloot_web.cli`: the same as the `bitloot` script."""

from bitloot_web.cli.main import main

main()
