"""The commands, and what they print for a person."""
