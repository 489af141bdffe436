"""From words to a config: schema, composition by Hydra, sampled values, names of runs."""
