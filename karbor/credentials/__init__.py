"""On whose authority Karbor speaks: users, its own service account, and both at once."""
