"""The benchmark: ratios measured in one run on one machine, since absolute figures change with both."""
