"""The machinery of the experiments: catalogue, validation, runs, provenance, conclusions."""
