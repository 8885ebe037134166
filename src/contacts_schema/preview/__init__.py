"""What an upgrade would do, and whether it would: looked up in a transaction that is read-only, and said in two ways."""
