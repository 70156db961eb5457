"""The published layouts of benchmarks: a folder and the file of its truth, read into a Truth."""
