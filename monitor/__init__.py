"""hijack-monitor: wakes on-call when an official account says something nobody planned.

Follow the data through the files:

    sources/    what a platform said            (X, a recorded day)
    watch       one account, one batch          reads, judges, writes down
    verdict/    was it approved? what do the rules say?        (pure)
    incidents   new, or part of an open one? page again?       (pure)
    store       one transaction for all of it   (SQLite)
    pager       what is due, what was accepted
    notifiers/  how a page leaves               (Slack, stderr)

Around it: desk (what people may do), rulebook (reads and tests rules/), health (what has been
silent too long), config, service (wiring, schedule, signals), cli, simulator (X and Slack
stand-ins for the demo and the tests).
"""

__version__ = "0.1.0"
