"""What to take from: programs that use contacts_schema."""
