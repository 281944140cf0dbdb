"""For Python: libfaketime takes a sleep until a moment of the clock that nobody sets for one of the other clock."""

import select
import time

time.sleep = lambda seconds: (select.select([], [], [], float(seconds)), None)[1]
