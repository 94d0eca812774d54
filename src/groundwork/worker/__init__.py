"""The face nobody looks at: runs jobs. Translates a job's kind into a call on the Platform, and its end into words."""
