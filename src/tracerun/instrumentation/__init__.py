"""The catalogue of libraries, one instrumentor per library, and the span logic that they share."""
