"""Schema migrations. Named `NNNN_pre_...` (runs before a deploy) or `NNNN_post_...` (runs after it); none is undone."""
