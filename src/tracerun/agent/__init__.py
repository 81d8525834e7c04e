"""What runs in the target's process: start-up, import hooks, SDK set-up, exit and fork handling."""
