"""Sweeps: from Hydra's overrides to cells, a plan, units of work, and one table."""
