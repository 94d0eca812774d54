"""The HTTP face: translates requests into calls on the Platform and answers into bodies. Decides nothing."""
