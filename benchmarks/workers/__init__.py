"""The programs that are measured. Each runs in every peer's environment, plain or under that peer's launcher."""
