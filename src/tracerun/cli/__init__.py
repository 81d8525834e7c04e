"""The command: options, launching, and what answers questions instead."""
