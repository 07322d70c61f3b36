"""What a configuration says, where it says so, and what is wrong with it."""
