"""Journal of a run: chained lines, writer, reader."""
