"""The record: PostgreSQL, embedded or somebody else's, its schema, and the only door to it.

SQL lives here and in the `records.py` of each feature. Transactions are short and never span a call to a model, an
embedder or a remote index.
"""
