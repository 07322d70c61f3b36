"""Who drives which operation: the locks that die with their process, and the threads under them."""
