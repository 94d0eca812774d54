"""Ingest: files in, versions of documents with checkable chunks out.

What is read from a file is text and positions; what a chunk says is always the text between its two offsets. Formats
are read in worker processes (`isolate`, `child`), so that a file which crashes, hangs or unpacks without end costs
itself and nothing else. Nothing here imports from `retrieve`: the two meet in the store.
"""
