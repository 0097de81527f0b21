"""`python -m monitor` is the same as `hijack-monitor`."""

from monitor.cli import main

main()
