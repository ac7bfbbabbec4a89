"""Is it junk? Words, what was learned of them, block lists, and the sum of it all."""
