"""Compose an experiment from named parts, run the loop that matches, keep the whole trajectory."""
