"""From a config to recorded steps: the loops, stacks, batches, measures and the driver."""
