"""How many requests a protect sends to the cloud."""
