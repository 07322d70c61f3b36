"""The demonstration: protect, destroy and restore an application while its tokens die."""
