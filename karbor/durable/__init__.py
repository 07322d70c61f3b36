"""Who drives which operation: the engine library DBOS, and the locks around it.

`locks` costs nothing and is for every command; `engine` imports DBOS (a third of a second) and is
imported only where something is to be driven.
"""
