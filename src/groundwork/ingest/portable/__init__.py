"""A collection as one portable file: texts, spans, labels and vectors, checked byte by byte before anything is taken.

The file is a ZIP that any tool opens: `manifest.json`, three members of JSON lines (`documents`, `versions`, `chunks`) and
`vectors.f16`, rows of little-endian float16 in the order of the chunks that have one. `save` writes it, `read` checks and
reads it, `take` brings what was read into the record. Neither holds more than a few documents in memory.
"""
