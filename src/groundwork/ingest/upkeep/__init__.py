"""What happens to documents apart from taking them in: labels, the proof of a removal, passages made anew."""
