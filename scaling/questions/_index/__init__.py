"""One capability scale from many benchmarks, as it stands and as it stood."""
