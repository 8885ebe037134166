"""The way back: what was done, undone strictly in reverse, and nothing that people changed since."""
