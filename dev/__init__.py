"""Development tools: a local OpenStack, Karbor as its service, demo, long runs, benchmarks."""
