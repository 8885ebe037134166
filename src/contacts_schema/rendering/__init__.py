"""Renders what a run does as one SQL script, for those who have no shell beside the database."""
