"""What is seen from outside: numbers (`metrics`, `exposition`), lines (`logs`) and the ids that tie them together.

Nothing here ever fails a request: a full disk, a full pipe or a label that nobody foresaw costs a sample or a line, and
is counted.
"""
