"""Measuring retrieval and answers on judged questions, through the same calls a reader makes."""
