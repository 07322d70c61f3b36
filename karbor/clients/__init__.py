"""OpenStack's services as plugins see them: the hand behind `plugin/cloud.py`."""
