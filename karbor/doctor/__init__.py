"""The doctor: how long an operation started now could run in this cloud, and what would end it."""
