"""X and Slack stand-ins on loopback, as nasty as the real ones, and the stories they play.

For the demo, drills and tests. They speak the real protocols; nothing here is imported by `run`.
"""
