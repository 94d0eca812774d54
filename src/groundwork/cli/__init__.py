"""The command line: one file per area, each translating words into calls on the Platform. Decides nothing.

What is slow to import is imported when a command runs, so that `groundwork --help` answers at once.
"""
