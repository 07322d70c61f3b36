"""What a request to the REST API costs."""
