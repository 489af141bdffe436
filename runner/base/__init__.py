"""What every room stands on: paths, terminals, signals, store addresses, arithmetic on rows."""
