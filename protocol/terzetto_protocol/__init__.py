"""The score of Terzetto: what is said, stored and decided, without Trio, I/O, a clock or randomness."""
