"""Golden logs: what every version of the code has stored, which newer code must read and go on with."""
