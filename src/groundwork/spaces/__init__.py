"""Embedding spaces: the vectors of one model each, side by side; one is live, and which one can change while serving.

Publications write vectors of the live space only, and hold it in place while they do. Every other space catches up: in
its build, and once more when it goes live. So no model but the live one can hold an ingestion up.
"""
