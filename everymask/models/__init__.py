"""Models put together from the parts in nn: specs, assembly, weights, loading, downloads."""
