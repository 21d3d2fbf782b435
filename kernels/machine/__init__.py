"""What every algorithm stands on: compilation, vectors, packing, threads."""
