"""The security report: what somebody who answers for this installation has to know, and what to do about it."""
