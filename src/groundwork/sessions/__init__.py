"""Conversations: what was asked and answered, kept in the record; the recent turns are remembered in the cache.

A conversation belongs to who began it, and shows nothing that its owner may no longer read.
"""

NEW = "new"
"""In the place of a session's id: begin a conversation with this question."""
