"""The door for programs: REST API v1 of Karbor, on WSGI."""
