"""The sweep of `benchmarks.sweeps` as a user of other tools would write it: one file each."""
