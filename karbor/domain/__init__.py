"""The nouns of data protection. Pure: standard library only, no I/O."""
