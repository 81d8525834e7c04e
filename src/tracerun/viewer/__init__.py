"""Reading span files and drawing a trace; runs in the launcher only."""
