"""Static analysis of recipes: data flow, dependencies, fingerprints."""
