"""The motor: runs the steps of an operation durably. Knows no OpenStack, no SQL, no plugin."""
