"""Development tools: a local OpenStack, Karbor as a service of it, the demo, endurance runs, benchmarks."""
