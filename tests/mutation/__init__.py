"""Does the suite notice when the code is wrong? Small mistakes, made one at a time: `python -m tests.mutation`."""
