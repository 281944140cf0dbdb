"""Chat histories: what they are and the rules that hold for them."""
