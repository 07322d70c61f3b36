"""SQL: where operations and their steps are kept. The only room that knows of sqlalchemy."""
