"""Merging: given (table, duplicate -> survivor), archive, move, delete; the same idea at every depth."""
