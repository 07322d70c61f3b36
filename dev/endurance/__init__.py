"""The proof of endurance: operations that outlast every token, side by side, on a slow road."""
