"""Runs compared: tables, pictures of a run, and the page of a sweep."""
