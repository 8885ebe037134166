"""Proves on a live database that the constraint is what it should be, and leaves no trace."""
