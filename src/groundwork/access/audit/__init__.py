"""The audit log: who did what, when and from where; append-only, and chained so that tampering shows."""
