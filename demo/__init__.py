"""`make demo`: a live CRM with duplicate contacts, upgraded and rolled back before your eyes."""
