"""convmark's suite: workloads, contenders, measuring, results and reports."""
