"""What nvidia-smi says of the first GPU while something runs: clock, power, and the share of time in which a kernel ran."""
import statistics
import subprocess

QUERY = ["nvidia-smi", "--query-gpu=clocks.sm,power.draw,utilization.gpu", "--format=csv,noheader,nounits", "-i", "0"]


class ClockLog:
    """A sample every 200 ms from `with` to its end; then str() tells them. Where there is no nvidia-smi, it says nothing."""

    def __init__(self):
        self.child, self.samples = None, []

    def __enter__(self):
        try:
            self.child = subprocess.Popen([*QUERY, "-lms", "200"], stdout=subprocess.PIPE, text=True)
        except FileNotFoundError:
            pass
        return self

    def __exit__(self, *_):
        if self.child is None:
            return
        self.child.terminate()
        for line in self.child.communicate()[0].splitlines():
            try:
                self.samples.append([float(word) for word in line.split(",")])
            except ValueError:
                pass  # A value that the card does not tell, or a line cut off.

    def __str__(self):
        rows = [row for row in self.samples if len(row) == 3]
        if not rows:
            return ""
        clock, power, busy = zip(*rows)
        return (f"  [{statistics.median(clock):.0f} MHz ({min(clock):.0f}–{max(clock):.0f}), {statistics.median(power):.0f} W, "
                f"a kernel ran {statistics.mean(busy[1:] or busy):.0f} % of the time]")
