"""Finding passages: the scope first, then dense and lexical search side by side, fused, and hydrated from the record.

Reads only. What it reads was published by `ingest`; the two meet in the store and nowhere else.
"""
