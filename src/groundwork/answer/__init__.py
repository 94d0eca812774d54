"""Answers: passages for a question, the words that bear on it, and a citation for each that can be checked.

`ask` is the one path every face takes; it yields the events of one answer, the same for a stream, a page and a terminal.
"""
