"""The ledger: one line for every request to a model, written once and kept; who it belongs to can be made nobody."""
