"""Groundwork answers questions from an organisation's own documents, with citations that can be checked to the byte."""

__version__ = "0.1.0"
