"""Whether what is stored is what it should be: truths as data, found where they do not hold, mended where that can be.

Looks at the record, at the derived indexes through their ports and at the files beside them. Nothing here decides what a
search shows.
"""
