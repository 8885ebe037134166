"""What people ask of the archive besides a restore: where a row went, and to let go of what is old."""
