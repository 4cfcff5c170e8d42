"""Models by name: where they come from, the cache, and publishing."""
